/* Where one is, without a network: land, borders, lakes and towns (Natural Earth, public domain), degrees, a search. */
(function () {
  "use strict";
  const { el, section } = Atlas;
  const COARSE_BELOW = 8, // zoom from which 1:110 m lines would only mislead
    MOST_TOWNS = 40,
    MOST_FOUND = 6;
  const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

  /** Lines are stored as differences in steps of a fraction of a degree. */
  const decoded = (lines, step) =>
    lines.map((line) => {
      let x = 0,
        y = 0;
      const points = [];
      for (let k = 0; k < line.length; k += 2) {
        x += line[k];
        y += line[k + 1];
        points.push([y * step, x * step]);
      }
      return points;
    });
  const unpacked = async (page, id) =>
    JSON.parse(new TextDecoder().decode(await Atlas.inflate(Atlas.base64(page.text(id)))));

  /** Latitude and longitude in a text such as "47.2, -1.55" or "1.55 W 47.2 N"; null where it is none. */
  function coordinates(text) {
    const found = [...text.matchAll(/(-?\d+(?:\.\d+)?)\s*°?\s*([NSEW])?/gi)].map(([, value, side]) => [
      /[SW]/i.test(side || "") ? -Number(value) : Number(value),
      /[EW]/i.test(side || ""),
    ]);
    if (found.length !== 2 || /[a-z]{2}/i.test(text)) return null;
    const [latitude, longitude] = found[0][1] ? [found[1][0], found[0][0]] : [found[0][0], found[1][0]];
    return Math.abs(latitude) <= 85 && Math.abs(longitude) <= 180 ? [latitude, longitude] : null;
  }
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  Atlas.part(1200, function (page) {
    const { map, container, meta } = page,
      part = section("Find", "find");
    const pane = map.createPane("atlas-outlines"),
      labels = map.createPane("atlas-towns");
    pane.style.zIndex = 150;
    labels.style.zIndex = 450;
    pane.style.pointerEvents = labels.style.pointerEvents = "none";
    const renderer = L.svg({ pane: "atlas-outlines", padding: 0.3 }),
      style = { pane: "atlas-outlines", renderer, interactive: false, smoothFactor: 1 };
    let layers = [],
      towns = [],
      lined = false;
    const degrees = L.layerGroup();

    (async () => {
      const [outlines, lakes, known] = await Promise.all(
        ["atlas-outlines", "atlas-lakes", "atlas-towns"].map((id) => unpacked(page, id)),
      );
      const land = decoded(outlines.land, outlines.step),
        borders = decoded(outlines.borders, outlines.step),
        water = decoded(lakes.lakes, lakes.step);
      page.outlines = { land, borders, water };
      layers = [
        L.polygon(
          land.map((ring) => [ring]),
          Object.assign({ className: "outline-land" }, style),
        ),
        L.polygon(
          water.map((ring) => [ring]),
          Object.assign({ className: "outline-lake" }, style),
        ),
        L.polyline(borders, Object.assign({ className: "outline-border" }, style)),
      ];
      towns = known.towns.map(([name, country, latitude, longitude, people]) => ({
        name,
        country: known.countries[country],
        at: [latitude, longitude],
        people,
      }));
      page.towns = towns;
      show();
    })();

    const offline = () => page.state.base === "scene" || page.state.base === "none";
    function show() {
      const coarse = map.getZoom() < COARSE_BELOW && offline();
      container.classList.toggle("zoomed-out", coarse);
      for (const layer of layers) if (coarse !== map.hasLayer(layer)) coarse ? layer.addTo(map) : layer.remove();
      showTowns();
      showDegrees();
    }
    /** Towns in view, the largest first, none over another. */
    page.townsInView = (project, width, height, most = MOST_TOWNS) => {
      const placed = [],
        room = 15;
      for (const town of towns) {
        if (placed.length >= most) break;
        const { x, y } = project(town.at),
          wide = 14 + 6.5 * town.name.length;
        if (x < 4 || y < 10 || x > width - 4 || y > height - 4) continue;
        if (placed.some((one) => Math.abs(one.y - y) < room && x < one.x + one.wide && one.x < x + wide)) continue;
        placed.push({ town, x, y, wide });
      }
      return placed;
    };
    function showTowns() {
      const size = map.getSize();
      labels.replaceChildren(
        ...(page.state.labelling || !offline()
          ? []
          : page.townsInView((at) => map.latLngToContainerPoint(at), size.x, size.y)
        ).map(({ town }) => {
          const { x, y } = map.latLngToLayerPoint(town.at),
            label = el("span", { class: "town" }, town.name);
          L.DomUtil.setPosition(label, L.point(Math.round(x), Math.round(y)));
          return label;
        }),
      );
    }
    /** Meridians and parallels of a view, about six each way: [[latitude, longitude], ...] lines with their names. */
    page.graticule = (bounds) => {
      const south = Math.max(-85, bounds.getSouth()),
        north = Math.min(85, bounds.getNorth()),
        west = bounds.getWest(),
        east = bounds.getEast(),
        step = STEPS.find((one) => (east - west) / one >= 4) || STEPS[STEPS.length - 1],
        name = (value, sides) => {
          const wrapped = sides === "EW" ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
          return (
            Math.abs(Number(wrapped.toFixed(2))) + "°" + (wrapped > 0 ? sides[0] : wrapped < 0 ? sides[1] : "")
          );
        },
        found = [];
      for (let x = Math.ceil(west / step) * step; x < east; x += step)
        found.push({
          line: [
            [south, x],
            [north, x],
          ],
          at: [south, x],
          name: name(x, "EW"),
          upright: true,
        });
      for (let y = Math.ceil(south / step) * step; y < north; y += step)
        found.push({
          line: [
            [y, west],
            [y, east],
          ],
          at: [y, west],
          name: name(y, "NS"),
          upright: false,
        });
      return found;
    };
    function showDegrees() {
      degrees.clearLayers();
      if (!lined) return;
      for (const { line, at, name, upright } of page.graticule(map.getBounds())) {
        degrees.addLayer(L.polyline(line, { interactive: false, className: "graticule", weight: 1 }));
        const icon = L.divIcon({ className: "degree", html: "", iconAnchor: upright ? [-4, 16] : [-4, 14] }),
          mark = L.marker(at, { icon, interactive: false, keyboard: false });
        mark.on("add", () => (mark.getElement().textContent = name));
        degrees.addLayer(mark);
      }
    }
    map.on("zoomend moveend resize", show);

    const results = el("ul", { class: "place-list found" });
    const search = el("input", {
      type: "search",
      "aria-label": "Town or coordinates",
      placeholder: "Town, or latitude, longitude",
      oninput: () => list(),
      onkeydown: (event) => {
        if (event.key !== "Enter") return;
        const first = results.querySelector("button");
        if (first) first.click();
      },
    });
    const go = (at, zoom) => map.setView(at, Math.max(zoom, Math.min(map.getZoom(), 13)), { animate: false });
    function list() {
      const words = plain(search.value.trim()),
        place = coordinates(search.value.trim()),
        starts = towns.filter((town) => words && plain(town.name).startsWith(words)),
        hits = starts.concat(towns.filter((town) => words.length > 2 && plain(town.name).includes(words, 1)));
      const item = (text, more, at, zoom) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", onclick: () => go(at, zoom) },
            text,
            el("span", { class: "quiet" }, more),
          ),
        );
      Atlas.clear(
        results,
        place ? item(Atlas.degrees(...place), "go there", place, 12) : null,
        hits.slice(0, MOST_FOUND).map((town) => item(town.name, town.country, town.at, 10)),
        words && !place && !hits.length
          ? el("li", { class: "note" }, "No town of that name is known to this page.")
          : null,
      );
    }
    const lines = el("input", {
      type: "checkbox",
      onchange: () => {
        lined = page.lined = lines.checked;
        lined ? degrees.addTo(map) : degrees.remove();
        showDegrees();
      },
    });
    part.body.append(search, results, el("label", { class: "row" }, lines, "Lines of latitude and longitude"));
    part.root.classList.toggle("low", meta.places.length < 2);
    return {
      root: part.root,
      draw: () => {
        part.root.hidden = page.state.labelling;
        show();
      },
    };
  });
  Atlas.coordinates = coordinates;
})();
