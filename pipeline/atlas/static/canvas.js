/* L.AtlasCanvas: the whole view (padded) as one canvas, painted from codes at any real zoom, with letters on a
   second one. */
(function () {
  "use strict";
  const EQUATOR = 40075016.686,
    MESH = 32;
  const LINES_FROM = 14,
    LETTERS_FROM = 44,
    NAMES_FROM = 92,
    HATCH_FROM = 5; // pixels a tile
  const MAX_LABEL_RATIO = 2;

  /**
   * source: {codes: Uint16Array by tile, shift: see downsample, lut, hatch: Uint32Array colours by code (ABGR, 0 =
   * clear),
   * label(tile, withName) -> {title, note, ink, halo} or null}. Replace its members and call repaint().
   */
  L.AtlasCanvas = L.Renderer.extend({
    options: { padding: 0.12 },

    initialize: function (grid, source, options) {
      this._fine = grid;
      this._source = source;
      this._levels = new Map([[1, { grid: grid }]]);
      L.Renderer.prototype.initialize.call(this, options);
    },

    getEvents: function () {
      const events = L.Renderer.prototype.getEvents.call(this);
      events.move = this._onMove;
      return events;
    },

    _initContainer: function () {
      this._container = L.DomUtil.create("div", "atlas-layer");
      this._classes = L.DomUtil.create("canvas", "atlas-classes", this._container);
      this._letters = L.DomUtil.create("canvas", "atlas-letters", this._container);
    },

    _destroyContainer: function () {
      L.Util.cancelAnimFrame(this._frame);
      L.DomUtil.remove(this._container);
      delete this._container;
      this._over = this._under = null;
    },

    _onMove: function () {
      // refill while dragging once the padded canvas no longer covers the view
      if (!this._bounds || this._map._animatingZoom || this._frame) return;
      const northWest = this._map.containerPointToLayerPoint([0, 0]),
        southEast = this._map.containerPointToLayerPoint(this._map.getSize());
      if (
        northWest.x < this._bounds.min.x ||
        northWest.y < this._bounds.min.y ||
        southEast.x > this._bounds.max.x ||
        southEast.y > this._bounds.max.y
      ) {
        this._frame = L.Util.requestAnimFrame(function () {
          this._frame = 0;
          this._update();
        }, this);
      }
    },

    _update: function () {
      if (this._map._animatingZoom && this._bounds) return;
      L.Renderer.prototype._update.call(this);
      const size = this._bounds.getSize(),
        width = Math.ceil(size.x / MESH) * MESH,
        height = Math.ceil(size.y / MESH) * MESH,
        origin = this._map.getPixelOrigin();
      L.DomUtil.setPosition(this._container, this._bounds.min);
      this._view = {
        x: origin.x + this._bounds.min.x,
        y: origin.y + this._bounds.min.y,
        width,
        height,
        world: 256 * Math.pow(2, this._map.getZoom()),
      };
      if (!this._over || this._classes.width !== width || this._classes.height !== height) {
        this._classes.width = width;
        this._classes.height = height;
        this._classes.style.width = width + "px";
        this._classes.style.height = height + "px";
        this._over = new Int32Array(width * height);
        this._under = this._fine.zonesMeet ? new Int32Array(width * height) : null;
        this._image = this._classes.getContext("2d").createImageData(width, height);
      }
      const latitude = (Atlas.projection.latitudeOf((this._view.y + height / 2) / this._view.world) * Math.PI) / 180;
      this._tilePixels = this._fine.tile / ((EQUATOR * Math.cos(latitude)) / this._view.world);
      this._factor = this._tilePixels >= 1 ? 1 : Math.pow(2, Math.ceil(-Math.log2(this._tilePixels)));
      this._level(this._factor).grid.indexImage(this._view, this._over, this._under);
      this._paint();
    },

    repaint: function () {
      if (this._map && this._over) this._paint();
      return this;
    },

    /** The canvases as they show, for pictures of the view. */
    canvases: function () {
      return [this._classes, this._letters];
    },

    /** The grid of cells of factor x factor tiles and their codes. */
    _level: function (factor) {
      let level = this._levels.get(factor);
      if (!level) this._levels.set(factor, (level = { grid: this._fine.coarser(factor) }));
      const source = this._source;
      if (level.from !== source.codes) {
        level.from = source.codes;
        level.codes =
          factor === 1
            ? source.codes
            : Atlas.downsample(this._fine, level.grid, factor, source.codes, source.shift, Atlas.OUTSIDE_CODE);
      }
      return level;
    },

    _paint: function () {
      const { lut, hatch } = this._source,
        codes = this._level(this._factor).codes,
        { width, height } = this._view;
      const over = this._over,
        under = this._under,
        pixels = new Uint32Array(this._image.data.buffer);
      if (under) {
        // where zones meet, show the plane that has the tile at this date
        for (let i = 0; i < over.length; i++) {
          if (under[i] < 0) continue;
          const earlier = Math.min(over[i], under[i]),
            later = Math.max(over[i], under[i]);
          const shown = codes[earlier] >= Atlas.OUTSIDE_CODE && codes[later] < Atlas.OUTSIDE_CODE ? later : earlier;
          over[i] = shown;
          under[i] = earlier + later - shown;
        }
      }
      const hatched = this._tilePixels * this._factor >= HATCH_FROM; // smaller cells would turn to noise
      for (let y = 0, i = 0, last = -1, colour = 0, stripe = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
          const tile = over[i];
          if (tile < 0) {
            pixels[i] = 0;
            continue;
          }
          if (tile !== last) {
            last = tile;
            const code = codes[tile];
            colour = lut[code];
            stripe = hatched ? hatch[code] : 0;
          }
          pixels[i] = stripe && ((x + y) & 7) < 2 ? stripe : colour;
        }
      }
      if (this._tilePixels >= LINES_FROM) this._lines(pixels, over, codes, width);
      this._classes.getContext("2d").putImageData(this._image, 0, 0);
      this._paintLetters(codes);
    },

    /** Hairlines between tiles, stronger between classes: darkens the pixel right of or below an edge. */
    _lines: function (pixels, over, codes, width) {
      const strength = this._tilePixels > 40 ? 1 : 0.5,
        faint = 1 - 0.1 * strength,
        strong = 1 - 0.42 * strength;
      for (let i = width; i < over.length; i++) {
        const tile = over[i];
        if (tile < 0) continue;
        const left = i % width ? over[i - 1] : tile,
          above = over[i - width];
        if (left === tile && above === tile) continue;
        const colour = pixels[i];
        if (colour >>> 24 <= 20) continue;
        const same =
          (left < 0 || codes[left] >> 7 === codes[tile] >> 7) &&
          (above < 0 || codes[above] >> 7 === codes[tile] >> 7);
        const f = same ? faint : strong;
        pixels[i] =
          ((colour & 0xff000000) |
            ((((colour >> 16) & 255) * f) << 16) |
            ((((colour >> 8) & 255) * f) << 8) |
            ((colour & 255) * f)) >>>
          0;
      }
    },

    _paintLetters: function (codes) {
      const wanted = this._tilePixels >= LETTERS_FROM,
        canvas = this._letters,
        { width, height } = this._view;
      if (!wanted) {
        canvas.width = canvas.height = 0;
        return;
      }
      const ratio = Math.min(MAX_LABEL_RATIO, Math.max(1, window.devicePixelRatio || 1)),
        named = this._tilePixels >= NAMES_FROM;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      const context = canvas.getContext("2d"),
        seen = new Set(),
        step = Math.floor(this._tilePixels / 4);
      for (let y = step >> 1; y < height; y += step)
        for (let x = step >> 1; x < width; x += step) seen.add(this._over[y * width + x]);
      seen.delete(-1);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.textAlign = "center";
      context.textBaseline = "middle";
      const place = [0, 0],
        family = "px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
      const items = [];
      for (const tile of seen) {
        if (!(this._source.lut[codes[tile]] >>> 24)) continue;
        const label = this._source.label(tile, named);
        if (!label) continue;
        const at = this._fine.where(tile);
        this._fine.corner(at.plane, at.row + 0.5, at.col + 0.5, place);
        const copy = Math.round((this._view.x + width / 2) / this._view.world - Atlas.projection.mercatorX(place[1]));
        items.push([
          (Atlas.projection.mercatorX(place[1]) + copy) * this._view.world - this._view.x,
          Atlas.projection.mercatorY(place[0]) * this._view.world - this._view.y,
          label,
        ]);
      }
      context.lineWidth = 3;
      context.lineJoin = "round";
      const write = (text, x, y, label) => {
        if (label.halo) {
          context.strokeStyle = label.halo;
          context.strokeText(text, x, y);
        }
        context.fillStyle = label.ink;
        context.fillText(text, x, y);
      };
      context.font = "600 " + (named ? 12 : 11) + family;
      for (const [x, y, label] of items) write(label.title, x, y - (named && label.note ? 7 : 0), label);
      if (!named) return;
      context.font = "11" + family;
      for (const [x, y, label] of items) write(label.note, x, y + 9, label);
    },
  });
})();
