/* L.AtlasCanvas: the whole view (padded) as one canvas, painted from codes at any real zoom, with letters on a
   second one. */
(function () {
  "use strict";
  const MESH = 32;
  const LETTERS_FROM = 44,
    NAMES_FROM = 92; // pixels a tile
  const MAX_LABEL_RATIO = 2;

  /** source: as Atlas.Painter takes it, and label(tile, withName) -> {title, note, ink, halo} or null. Replace its
   * members and call repaint(). */
  L.AtlasCanvas = L.Renderer.extend({
    options: { padding: 0.12 },

    initialize: function (grid, source, options) {
      this._source = source;
      this.painter = new Atlas.Painter(grid, source);
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
      this._image = null;
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
      if (!this._image || this._classes.width !== width || this._classes.height !== height) {
        this._classes.width = width;
        this._classes.height = height;
        this._classes.style.width = width + "px";
        this._classes.style.height = height + "px";
        this._image = this._classes.getContext("2d").createImageData(width, height);
      }
      this.painter.look(this._view);
      this._paint();
    },

    repaint: function () {
      if (this._map && this._image) this._paint();
      return this;
    },

    _paint: function () {
      this.painter.paint(new Uint32Array(this._image.data.buffer));
      this._classes.getContext("2d").putImageData(this._image, 0, 0);
      this._paintLetters();
    },

    _paintLetters: function () {
      const { tilePixels, over, grid } = this.painter,
        { codes } = this._source,
        wanted = tilePixels >= LETTERS_FROM,
        canvas = this._letters,
        { width, height } = this._view;
      if (!wanted) {
        canvas.width = canvas.height = 0;
        return;
      }
      const ratio = Math.min(MAX_LABEL_RATIO, Math.max(1, window.devicePixelRatio || 1)),
        named = tilePixels >= NAMES_FROM;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      const context = canvas.getContext("2d"),
        seen = new Set(),
        step = Math.floor(tilePixels / 4);
      for (let y = step >> 1; y < height; y += step)
        for (let x = step >> 1; x < width; x += step) seen.add(over[y * width + x]);
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
        const at = grid.where(tile);
        grid.corner(at.plane, at.row + 0.5, at.col + 0.5, place);
        const copy = Math.round(
          (this._view.x + width / 2) / this._view.world - Atlas.projection.mercatorX(place[1]),
        );
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
