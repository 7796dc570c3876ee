/* Where in the tiles the changes are: the pixels' evidence on the tile card, and on the map when it is close. */
(function () {
  "use strict";
  const { el, section, number } = Atlas;
  const CLOSE = 44; // pixels a tile, as from where tiles carry letters
  const COLOUR = [255, 0, 170];
  const FAINTEST = 0.2,
    STRONGEST = 0.7;
  const ABOVE = 320; // the classes' panes

  /** Over the map: what paint(context, layer) draws, anew whenever the view has moved. */
  const Overlay = L.Renderer.extend({
    options: { padding: 0.1 },
    initialize: function (paint, options) {
      this._draw = paint;
      L.Renderer.prototype.initialize.call(this, options);
    },
    _initContainer: function () {
      this._container = L.DomUtil.create("canvas", "heat-canvas");
    },
    _destroyContainer: function () {
      L.DomUtil.remove(this._container);
      delete this._container;
    },
    _update: function () {
      if (this._map._animatingZoom && this._bounds) return;
      L.Renderer.prototype._update.call(this);
      L.DomUtil.setPosition(this._container, this._bounds.min);
      this.repaint();
    },
    repaint: function () {
      if (!this._bounds) return;
      const size = this._bounds.getSize();
      this._container.width = size.x;
      this._container.height = size.y;
      this._draw(this._container.getContext("2d"), this._bounds.min);
    },
  });

  Atlas.part(305, function (page) {
    const { data, meta, map, grid } = page,
      { heat } = meta;
    if (!heat) return null;
    const part = section("Where in the tile", "heat"),
      pixels = heat.side * heat.side,
      pictures = new Map();
    let places = null,
      bytes = null;

    Atlas.inflate(Atlas.base64(page.text("atlas-heat"))).then((found) => {
      places = new Map();
      const keys = new DataView(found.buffer, found.byteOffset, 4 * heat.tiles);
      for (let k = 0; k < heat.tiles; k++) places.set(keys.getUint32(4 * k, true), k);
      bytes = found.subarray(4 * heat.tiles);
      page.update({});
    });

    /** Steps of a tile's pixels between two dates, the strongest of the pairs of dates between them; null without. */
    function of(before, after, tile) {
      if (!places) return null;
      let found = null;
      meta.pairs.forEach((pair, number) => {
        const at = places.get(number * grid.size + tile);
        if (at == null || pair.before < before || pair.after > after) return;
        const steps = bytes.subarray(at * pixels, (at + 1) * pixels);
        found = found ? found.map((step, k) => Math.max(step, steps[k])) : steps;
      });
      return found;
    }
    /** The steps as a small picture, clear where nothing stands out. */
    function picture(before, after, tile) {
      const key = [before, after, tile].join();
      if (pictures.has(key)) return pictures.get(key);
      const steps = of(before, after, tile);
      if (!steps) return null;
      const canvas = el("canvas", { width: heat.side, height: heat.side }),
        context = canvas.getContext("2d"),
        image = context.createImageData(heat.side, heat.side);
      steps.forEach((step, k) => {
        const alpha = step ? FAINTEST + ((STRONGEST - FAINTEST) * step) / heat.steps : 0;
        image.data.set([...COLOUR, Math.round(255 * alpha)], 4 * k);
      });
      context.putImageData(image, 0, 0);
      if (pictures.size > 2000) pictures.clear();
      pictures.set(key, canvas);
      return canvas;
    }

    /** A tile's picture with its heat, for the tile card. */
    function inside(before, after, tile) {
      const drawn = picture(before, after, tile);
      if (!drawn) return null;
      const copy = el("canvas", {
        class: "heat-picture",
        width: heat.side,
        height: heat.side,
        role: "img",
        "aria-label": "Where in the tile the land looks changed",
      });
      copy.getContext("2d").drawImage(drawn, 0, 0);
      return el(
        "div",
        { class: "heat-inside" },
        el("h3", {}, "Where in the tile", el("span", { class: "remark" }, "the stronger, the surer")),
        el("div", { class: "heat-over" }, page.chips ? page.chips.picture(after, tile) : null, copy),
      );
    }

    /** Draws every tile that has a heat and lies in view, where tiles are large enough to tell. */
    function paint(context, corner) {
      const { before, after } = page.state,
        view = map.getBounds().pad(0.1),
        { side } = heat;
      context.imageSmoothingEnabled = false;
      for (const tile of tilesBetween(before, after)) {
        const ring = grid.ring(tile),
          // The square's sides on the map as axes: turned with its zone's north, and no seam between neighbours.
          [a, b, , d] = ring.map((place) => map.latLngToLayerPoint(place).subtract(corner));
        if (a.distanceTo(b) < CLOSE) return;
        if (!ring.some((place) => view.contains(place))) continue;
        context.setTransform((b.x - a.x) / side, (b.y - a.y) / side, (d.x - a.x) / side, (d.y - a.y) / side, a.x, a.y);
        context.drawImage(picture(before, after, tile), 0, 0);
      }
    }
    /** The tiles of the place that have a heat between two dates. */
    function tilesBetween(before, after) {
      const planes = new Set(page.planesHere().map((plane) => plane.number)),
        pairs = meta.pairs.map((pair) => pair.before >= before && pair.after <= after && planes.has(pair.plane)),
        found = new Set();
      for (const key of places ? places.keys() : [])
        if (pairs[Math.floor(key / grid.size)]) found.add(key % grid.size);
      return found;
    }

    map.createPane("atlas-heat").style.zIndex = ABOVE;
    const overlay = new Overlay(paint, { pane: "atlas-heat" }),
      box = el("input", {
        type: "checkbox",
        checked: true,
        onchange: () => page.update({}),
      });
    Atlas.clear(
      part.body,
      el("label", { class: "check" }, box, " Show what the pixels say, close up"),
      el(
        "div",
        { class: "heat-key", "aria-hidden": "true" },
        "faint",
        el("i", { style: { background: "linear-gradient(90deg, " + ramp() + ")" } }),
        "strong",
      ),
      el(
        "p",
        { class: "note" },
        "In changed and undecided tiles, every pixel of " +
          Atlas.metres(meta.tile / heat.side) +
          " by itself, from tiles of " +
          CLOSE +
          " pixels on; the picture of a single tile is on its card. " +
          (heat.left ? number(heat.left) + " less likely tiles were left out for want of room. " : ""),
      ),
    );
    page.heat = { of, inside, overlay };
    return {
      root: part.root,
      draw: (state) => {
        const on = state.mode === "change" && places;
        part.root.hidden = !on;
        if (!on || !box.checked) overlay.remove();
        else if (map.hasLayer(overlay)) overlay.repaint();
        else overlay.addTo(map);
      },
    };
  });

  function ramp() {
    return [FAINTEST, STRONGEST].map((alpha) => "rgba(" + [...COLOUR, alpha].join() + ")").join(", ");
  }
})();
