/* Paints codes of tiles into pixels, for the map and for pictures of it. No DOM. */
(function (root) {
  "use strict";
  const Atlas = root.Atlas;
  const EQUATOR = 40075016.686;
  const LINES_FROM = 14,
    TEXTURE_FROM = 5, // pixels a tile
    MARK_BELOW = 3;
  /** 8 x 8 patterns, 1 where the second colour shows: none, stripes, and textures of classes. */
  const PATTERNS = [
    () => false,
    (x, y) => ((x + y) & 7) < 2,
    (x, y) => ((x - y) & 7) < 2,
    (x, y) => (y & 3) === 0,
    (x) => (x & 3) === 0,
    (x, y) => (x & 3) < 2 && (y & 3) < 2,
    (x, y) => (x & 7) === 0 || (y & 7) === 0,
    (x, y) => (x & 7) < 2 && (y & 7) < 2,
    (x, y) => ((x + y) & 3) === 0,
    (x, y) => ((x - y) & 3) === 0,
    (x, y) => ((x + y) & 7) === 0 || ((x - y) & 7) === 0,
  ].map((inside) => Uint8Array.from({ length: 64 }, (_, k) => (inside(k & 7, k >> 3) ? 1 : 0)));

  class Painter {
    /**
     * source: {codes: Uint16Array by tile, shift: see downsample, lut, hatch: Uint32Array colours by code (ABGR, 0 =
     * clear), pattern: Uint8Array by code, marks: tiles that may never vanish or null}.
     */
    constructor(grid, source) {
      this.grid = grid;
      this.source = source;
      this.levels = new Map([[1, { grid }]]);
    }

    /** The grid of cells of factor x factor tiles and their codes. */
    level(factor) {
      const { levels, source } = this;
      let level = levels.get(factor);
      // What was made of codes is kept as long as these: dates come back.
      if (!level) levels.set(factor, (level = { grid: this.grid.coarser(factor), made: new WeakMap() }));
      if (level.from !== source.codes) {
        level.from = source.codes;
        level.codes = factor === 1 ? source.codes : this.coarse(level, factor, source.codes);
      }
      return level;
    }

    coarse(level, factor, codes) {
      let made = level.made.get(codes);
      if (!made) {
        made = Atlas.downsample(this.grid, level.grid, factor, codes, this.source.shift, Atlas.OUTSIDE_CODE);
        level.made.set(codes, made);
      }
      return made;
    }

    /** Makes ready what other codes than those shown need at the present zoom; whether there was something to do. */
    prepare(codes) {
      const level = this.levels.get(this.factor);
      if (!(this.factor > 1) || level.made.has(codes)) return false;
      this.coarse(level, this.factor, codes);
      return true;
    }

    /** Finds the tile under every pixel of a view {x, y, width, height, world}, see Grid.indexImage. */
    look(view) {
      const size = view.width * view.height;
      if (!this.over || this.over.length !== size) {
        this.over = new Int32Array(size);
        this.under = this.grid.zonesMeet ? new Int32Array(size) : null;
      }
      this.view = view;
      const latitude = (Atlas.projection.latitudeOf((view.y + view.height / 2) / view.world) * Math.PI) / 180;
      this.tilePixels = this.grid.tile / ((EQUATOR * Math.cos(latitude)) / view.world);
      this.factor = this.tilePixels >= 1 ? 1 : Math.pow(2, Math.ceil(-Math.log2(this.tilePixels)));
      this.level(this.factor).grid.indexImage(view, this.over, this.under);
    }

    /** Paints the view that was looked at into pixels (Uint32Array, width x height). */
    paint(pixels) {
      const { lut, hatch, pattern } = this.source,
        codes = this.level(this.factor).codes,
        { width, height } = this.view,
        { over, under } = this;
      if (under) {
        // where planes meet, show the one that has the tile at this date
        for (let i = 0; i < over.length; i++) {
          if (under[i] < 0) continue;
          const earlier = Math.min(over[i], under[i]),
            later = Math.max(over[i], under[i]);
          const shown =
            codes[earlier] >= Atlas.OUTSIDE_CODE && codes[later] < Atlas.OUTSIDE_CODE ? later : earlier;
          over[i] = shown;
          under[i] = earlier + later - shown;
        }
      }
      const textured = this.tilePixels * this.factor >= TEXTURE_FROM; // smaller cells would turn to noise
      let last = -1,
        colour = 0,
        second = 0,
        mask = PATTERNS[0];
      for (let y = 0, i = 0; y < height; y++) {
        const row = (y & 7) << 3;
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
            second = textured ? hatch[code] : 0;
            mask = PATTERNS[pattern[code]];
          }
          pixels[i] = second && mask[row | (x & 7)] ? second : colour;
        }
      }
      if (this.tilePixels >= LINES_FROM) this.lines(pixels, codes);
      if (this.source.marks && this.tilePixels < MARK_BELOW) this.marks(pixels);
    }

    /** Hairlines between tiles, stronger between classes: darkens the pixel right of or below an edge. */
    lines(pixels, codes) {
      const strength = this.tilePixels > 40 ? 1 : 0.5,
        faint = 1 - 0.1 * strength,
        strong = 1 - 0.42 * strength,
        { over } = this,
        { width } = this.view;
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
    }

    /** Squares of a few pixels on tiles that would be smaller, in their own colour. */
    marks(pixels) {
      const { x, y, width, height, world } = this.view,
        [xs, ys] = this.grid.centres(),
        { marks, codes, lut } = this.source,
        half = (MARK_BELOW - 1) / 2;
      for (const tile of marks) {
        const copy = Math.round((x + width / 2) / world - xs[tile]),
          left = Math.round((xs[tile] + copy) * world - x - half - 0.5),
          top = Math.round(ys[tile] * world - y - half - 0.5);
        if (left < 0 || top < 0 || left + MARK_BELOW > width || top + MARK_BELOW > height) continue;
        const colour = (lut[codes[tile]] | 0xff000000) >>> 0;
        for (let r = 0; r < MARK_BELOW; r++)
          pixels.fill(colour, (top + r) * width + left, (top + r) * width + left + MARK_BELOW);
      }
    }
  }

  Object.assign(Atlas, { Painter, TEXTURES: PATTERNS.length });
})(typeof globalThis === "undefined" ? this : globalThis);
