/* The view in the address, on file:// too: #mode/before/after/classes/threshold/background/zoom/latitude/longitude,
   then what differs from the usual as name=value. */
(function () {
  "use strict";
  const MODES = ["map", "swipe", "change"];

  Atlas.part(1300, function (page) {
    const { map, meta, grid, classes } = page;
    let written = "",
      timer = 0;

    /** What is not as usual. */
    function extras() {
      const { state } = page,
        found = {};
      if (state.pinned >= 0) found.tile = grid.id(state.pinned);
      if (state.opacity !== 0.86) found.opacity = Math.round(100 * state.opacity);
      if (state.fade) found.fade = 1;
      if (state.pair) found.flow = state.pair.map((k) => classes[k].letters).join("-");
      if (state.mode === "swipe") found.split = Math.round(100 * state.split);
      if (state.where === "view") found.count = "view";
      if (state.palette !== "usual") found.palette = state.palette;
      return Object.entries(found).map(([name, value]) => name + "=" + value);
    }
    function write() {
      const { state } = page,
        centre = map.getCenter(),
        shown = classes.filter((_, k) => state.shown[k]).map((c) => c.letters);
      written =
        "#" +
        [
          state.mode,
          meta.dates[state.before] || "-",
          meta.dates[state.after],
          shown.length === classes.length ? "all" : shown.join(",") || "none",
          state.threshold,
          state.base,
          map.getZoom(),
          centre.lat.toFixed(4),
          centre.lng.toFixed(4),
          ...extras(),
        ]
          .map(encodeURIComponent)
          .join("/");
      if (written !== location.hash) history.replaceState(null, "", written);
    }
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(write, 250);
    };
    const decoded = (text) => {
      try {
        return decodeURIComponent(text);
      } catch (error) {
        return "";
      }
    };
    /** What an address asks for; parts that make no sense on this page are left out. */
    function read(hash) {
      const [mode, before, after, named, threshold, base, zoom, latitude, longitude, ...more] = hash
          .slice(1)
          .split("/")
          .map(decoded),
        wanted = {};
      if (MODES.includes(mode)) wanted.mode = mode;
      if (meta.dates.includes(before)) wanted.before = meta.dates.indexOf(before);
      if (meta.dates.includes(after)) wanted.after = meta.dates.indexOf(after);
      if (named) {
        const letters = named.split(",");
        wanted.shown = classes.map((c) => named === "all" || letters.includes(c.letters));
      }
      if (Number(threshold) >= 0 && Number(threshold) <= 99) wanted.threshold = Math.round(Number(threshold));
      // An online map is never asked for by an address: it would contact a server without the reader's choice.
      if (base === "scene" || base === "none") wanted.base = base;
      readExtras(new Map(more.map((text) => text.split("="))), wanted);
      const place = [zoom, latitude, longitude].map((text) => (text ? Number(text) : NaN));
      return { wanted, place: place.every(Number.isFinite) && Math.abs(place[1]) <= 85 ? place : null };
    }
    function readExtras(more, wanted) {
      const percent = (name) => {
        const value = more.has(name) ? Number(more.get(name)) : NaN;
        return value >= 0 && value <= 100 ? value / 100 : null;
      };
      const classOf = (letters) => classes.findIndex((c) => c.letters === letters);
      wanted.pinned = more.has("tile") ? grid.byId(more.get("tile")) : -1;
      wanted.opacity = percent("opacity") == null ? 0.86 : percent("opacity");
      wanted.fade = more.get("fade") === "1";
      if (percent("split") != null) wanted.split = Math.max(0.02, Math.min(0.98, percent("split")));
      wanted.where = more.get("count") === "view" ? "view" : "place";
      wanted.palette = more.get("palette") === "safe" ? "safe" : "usual";
      const pair = (more.get("flow") || "").split("-").map(classOf);
      wanted.pair = pair.length === 2 && pair.every((k) => k >= 0) ? pair : null;
    }
    function apply() {
      if (location.hash === written || location.hash.length < 2) return;
      const { wanted, place } = read(location.hash),
        { pair } = wanted;
      if (place) map.setView([place[1], place[2]], place[0], { animate: false });
      page.lookAround();
      const dates = page.datesHere();
      for (const side of ["before", "after"]) if (!dates.includes(wanted[side])) delete wanted[side];
      page.update(Object.assign({ blink: false }, wanted, { mode: "map" }));
      if (wanted.mode && wanted.mode !== "map") {
        if (page.comparable(page.state.before, page.state.after)) page.update({ mode: wanted.mode });
        else page.setMode(wanted.mode);
      }
      page.update({ pair });
    }
    addEventListener("hashchange", apply);
    map.on("moveend", later);
    apply();
    return { draw: later };
  });
})();
