/* The view in the address: #mode/before/after/classes/threshold/background/zoom/latitude/longitude. Works on file://
   too. */
(function () {
  "use strict";
  const MODES = ["map", "swipe", "change"];

  Atlas.part(1300, function (page) {
    const { map, meta } = page;
    let written = "",
      timer = 0;

    function write() {
      const { state } = page,
        centre = map.getCenter(),
        shown = page.classes.filter((_, k) => state.shown[k]).map((c) => c.letters);
      const classes = shown.length === page.classes.length ? "all" : shown.join(",") || "none";
      written =
        "#" +
        [
          state.mode,
          meta.dates[state.before],
          meta.dates[state.after],
          classes,
          state.threshold,
          state.base,
          map.getZoom(),
          centre.lat.toFixed(4),
          centre.lng.toFixed(4),
        ]
          .map(encodeURIComponent)
          .join("/");
      if (written !== location.hash) history.replaceState(null, "", written);
    }
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(write, 250);
    };
    /** What an address asks for; parts that make no sense on this page are left out. */
    function read(hash) {
      const [mode, before, after, classes, threshold, base, zoom, latitude, longitude] = hash
        .slice(1)
        .split("/")
        .map((text) => {
          try {
            return decodeURIComponent(text);
          } catch (error) {
            return "";
          }
        });
      const wanted = {};
      if (MODES.includes(mode) && (mode === "map" || meta.dates.length > 1)) wanted.mode = mode;
      if (meta.dates.includes(before)) wanted.before = meta.dates.indexOf(before);
      if (meta.dates.includes(after)) wanted.after = meta.dates.indexOf(after);
      if (classes) {
        const letters = classes.split(",");
        wanted.shown = page.classes.map((c) => classes === "all" || letters.includes(c.letters));
      }
      if (Number(threshold) >= 0 && Number(threshold) <= 99) wanted.threshold = Math.round(Number(threshold));
      // An online map is never asked for by an address: it would contact a server without the reader's choice.
      if (base === "scene" || base === "none") wanted.base = base;
      const place = [zoom, latitude, longitude].map((text) => (text ? Number(text) : NaN));
      return { wanted, place: place.every(Number.isFinite) ? place : null };
    }
    function apply() {
      if (location.hash === written || location.hash.length < 2) return;
      const { wanted, place } = read(location.hash);
      if (place) map.setView([place[1], place[2]], place[0], { animate: false });
      page.update(Object.assign({ pair: null, blink: false }, wanted));
    }
    addEventListener("hashchange", apply);
    map.on("moveend", later);
    apply();
    return { draw: later };
  });
})();
