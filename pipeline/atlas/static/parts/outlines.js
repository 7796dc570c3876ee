/* Land and country borders from embedded vectors (Natural Earth 1:110 m, public domain), shown when zoomed out. */
(function () {
  "use strict";
  const COARSE_BELOW = 8; // zoom from which 1:110 m lines would only mislead

  Atlas.part(1200, function (page) {
    const { map, container } = page,
      stored = JSON.parse(page.text("atlas-outlines"));
    /** Lines are stored as differences in steps of a fraction of a degree. */
    const decode = (lines) =>
      lines.map((line) => {
        let x = 0,
          y = 0;
        const points = [];
        for (let k = 0; k < line.length; k += 2) {
          x += line[k];
          y += line[k + 1];
          points.push([y * stored.step, x * stored.step]);
        }
        return points;
      });
    const rings = decode(stored.land),
      borders = decode(stored.borders);
    const pane = map.createPane("atlas-outlines");
    pane.style.zIndex = 150;
    pane.style.pointerEvents = "none";
    const renderer = L.svg({ pane: "atlas-outlines", padding: 0.3 });
    const land = L.polygon(
      rings.map((ring) => [ring]),
      { pane: "atlas-outlines", renderer, interactive: false, className: "outline-land", smoothFactor: 1 },
    );
    const lines = L.polyline(borders, {
      pane: "atlas-outlines",
      renderer,
      interactive: false,
      className: "outline-border",
      smoothFactor: 1,
    });
    function show() {
      const coarse = map.getZoom() < COARSE_BELOW && (page.state.base === "scene" || page.state.base === "none");
      container.classList.toggle("zoomed-out", coarse);
      for (const layer of [land, lines])
        if (coarse !== map.hasLayer(layer)) coarse ? layer.addTo(map) : layer.remove();
    }
    map.on("zoomend", show);
    page.outlines = { rings, borders };
    return { draw: show };
  });
})();
