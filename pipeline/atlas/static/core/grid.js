/* Where tiles lie: planes of tiles in UTM zones, seen from the web map. No DOM. */
(function (root) {
  "use strict";
  const Atlas = root.Atlas;
  const { zone, forward, inverse, mercatorX, mercatorY, latitudeOf } = Atlas.projection;
  const scratch = [0, 0];

  class Grid {
    /** planes: {epsg, ulx, uly, rows, cols} in metres; tile: edge in metres; mark: what ends ids of other grids than
     * the usual one. Tiles are numbered through all planes. */
    constructor(planes, tile, mark = "") {
      this.tile = tile;
      this.mark = mark;
      let offset = 0;
      this.planes = planes.map((plane, number) => {
        const placed = {
          number,
          offset,
          zone: zone(plane.epsg),
          epsg: plane.epsg,
          ulx: plane.ulx,
          uly: plane.uly,
          rows: plane.rows,
          cols: plane.cols,
        };
        placed.box = this.mercatorBox(placed);
        offset += plane.rows * plane.cols;
        placed.end = offset;
        return placed;
      });
      this.size = offset;
      this.zonesMeet = this.planes.some((a) => this.planes.some((b) => a !== b && meet(a.box, b.box)));
    }

    /** The plane's box in the web map's unit square; its sides are curves there, so they are sampled. */
    mercatorBox(plane) {
      const box = { west: Infinity, east: -Infinity, north: Infinity, south: -Infinity },
        steps = 12;
      for (let k = 0; k <= steps; k++) {
        const r = (plane.rows * k) / steps,
          c = (plane.cols * k) / steps;
        for (const [row, col] of [
          [0, c],
          [plane.rows, c],
          [r, 0],
          [r, plane.cols],
        ]) {
          this.corner(plane, row, col, scratch);
          const x = mercatorX(scratch[1]),
            y = mercatorY(scratch[0]);
          box.west = Math.min(box.west, x);
          box.east = Math.max(box.east, x);
          box.north = Math.min(box.north, y);
          box.south = Math.max(box.south, y);
        }
      }
      const margin = (box.east - box.west) * 0.01;
      return {
        west: box.west - margin,
        east: box.east + margin,
        north: box.north - margin,
        south: box.south + margin,
      };
    }

    /** Latitude and longitude of a corner (or, with halves, a centre), written to out. */
    corner(plane, row, col, out) {
      return inverse(plane.zone, plane.ulx + col * this.tile, plane.uly - row * this.tile, out);
    }

    /** The tile at a place for which exists(tile, plane number) holds, or -1; earlier planes own what planes share. */
    at(latitude, longitude, exists) {
      for (const plane of this.planes) {
        const near = longitude - 360 * Math.round((longitude - plane.zone.meridian) / 360);
        if (Math.abs(near - plane.zone.meridian) > 30) continue;
        forward(plane.zone, latitude, near, scratch);
        const col = Math.floor((scratch[0] - plane.ulx) / this.tile),
          row = Math.floor((plane.uly - scratch[1]) / this.tile);
        if (col < 0 || row < 0 || col >= plane.cols || row >= plane.rows) continue;
        const tile = plane.offset + row * plane.cols + col;
        if (!exists || exists(tile, plane.number)) return tile;
      }
      return -1;
    }

    /** Plane, row and column of a tile. */
    where(tile) {
      const plane = this.planes.find((p) => tile < p.end);
      const k = tile - plane.offset;
      return { plane, row: Math.floor(k / plane.cols), col: k % plane.cols };
    }

    /** The neighbour of a tile some rows and columns away in its plane, or -1. */
    neighbour(tile, rows, cols) {
      const at = this.where(tile),
        row = at.row + rows,
        col = at.col + cols;
      return row < 0 || col < 0 || row >= at.plane.rows || col >= at.plane.cols
        ? -1
        : at.plane.offset + row * at.plane.cols + col;
    }

    centre(tile) {
      const at = this.where(tile);
      return this.corner(at.plane, at.row + 0.5, at.col + 0.5, [0, 0]);
    }

    /** Corners of a tile as [latitude, longitude], clockwise from north-west. */
    ring(tile) {
      const at = this.where(tile);
      return [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
      ].map(([r, c]) => this.corner(at.plane, at.row + r, at.col + c, [0, 0]));
    }

    /** The id that tables use: rows of the absolute grid count northward from y = 0. */
    id(tile) {
      const at = this.where(tile);
      return (
        at.plane.epsg +
        "_" +
        (Math.round(at.plane.ulx / this.tile) + at.col) +
        "_" +
        (Math.round(at.plane.uly / this.tile) - 1 - at.row) +
        this.mark
      );
    }

    /** The tile that an id names, or -1. */
    byId(id) {
      if (!id.endsWith(this.mark)) return -1;
      const [epsg, col, row] = id.slice(0, id.length - this.mark.length).split("_").map(Number);
      for (const plane of this.planes) {
        const c = col - Math.round(plane.ulx / this.tile),
          r = Math.round(plane.uly / this.tile) - 1 - row;
        if (plane.epsg === epsg && c >= 0 && r >= 0 && c < plane.cols && r < plane.rows)
          return plane.offset + r * plane.cols + c;
      }
      return -1;
    }

    /**
     * A pixel of the cover by its id (zone, column and row counted from the zone's origin, metres a pixel): the tile
     * that holds it, its corners as [latitude, longitude] clockwise from north-west, its centre; null where there is
     * none.
     */
    pixelById(id) {
      const found = /^(\d{5})_(-?\d+)_(-?\d+)_1x([\d.]+)m$/.exec(id);
      if (!found) return null;
      const [epsg, col, row, gsd] = found.slice(1).map(Number),
        tile = this.byId(
          [epsg, Math.floor(((col + 0.5) * gsd) / this.tile), Math.floor(((row + 0.5) * gsd) / this.tile)].join("_") +
            this.mark,
        );
      if (tile < 0) return null;
      const { plane } = this.where(tile),
        at = (x, y) => inverse(plane.zone, (col + x) * gsd, (row + y) * gsd, [0, 0]);
      return { tile, gsd, ring: [at(0, 1), at(1, 1), at(1, 0), at(0, 0)], centre: at(0.5, 0.5) };
    }

    /** Centres of all tiles in the web map's unit square, x then y. */
    centres() {
      if (!this.centreCache) {
        const xs = new Float32Array(this.size),
          ys = new Float32Array(this.size),
          out = [0, 0];
        for (const plane of this.planes) {
          for (let row = 0, tile = plane.offset; row < plane.rows; row++) {
            for (let col = 0; col < plane.cols; col++, tile++) {
              this.corner(plane, row + 0.5, col + 0.5, out);
              xs[tile] = mercatorX(out[1]);
              ys[tile] = mercatorY(out[0]);
            }
          }
        }
        this.centreCache = [xs, ys];
      }
      return this.centreCache;
    }

    /** The same planes in cells of factor x factor tiles. */
    coarser(factor) {
      const planes = this.planes.map((plane) => ({
        epsg: plane.epsg,
        ulx: plane.ulx,
        uly: plane.uly,
        rows: Math.ceil(plane.rows / factor),
        cols: Math.ceil(plane.cols / factor),
      }));
      return new Grid(planes, this.tile * factor);
    }

    /**
     * The tile under every pixel of a view, -1 where there is none.
     *
     * view: {x, y, width, height, world}: pixel origin and size, and the width of the world in pixels. Where two
     * planes
     * cover a pixel, the earlier one goes to over, the later one to under (null where nobody asks). UTM is evaluated
     * on a mesh of `step` pixels and
     * interpolated between; the mesh covers only the part of the view that a plane covers.
     */
    indexImage(view, over, under) {
      over.fill(-1);
      if (under) under.fill(-1);
      const step = view.world < 16384 ? 4 : view.world < 65536 ? 16 : 32;
      for (const plane of this.planes) {
        const first = Math.ceil(view.x / view.world - plane.box.east),
          last = Math.floor((view.x + view.width) / view.world - plane.box.west);
        for (let copy = first; copy <= last; copy++) this.indexPlane(plane, copy, view, step, over, under);
      }
      return over;
    }

    indexPlane(plane, copy, view, step, over, under) {
      const { world } = view,
        box = plane.box;
      const x0 = Math.max(0, Math.floor((box.west + copy) * world - view.x)),
        x1 = Math.min(view.width, Math.ceil((box.east + copy) * world - view.x));
      const y0 = Math.max(0, Math.floor(box.north * world - view.y)),
        y1 = Math.min(view.height, Math.ceil(box.south * world - view.y));
      if (x0 >= x1 || y0 >= y1) return;
      const across = Math.ceil((x1 - x0) / step),
        down = Math.ceil((y1 - y0) / step),
        nodes = across + 1;
      // Fractional columns and rows of the plane at the nodes of the mesh.
      const cols = new Float64Array(nodes * (down + 1)),
        rows = new Float64Array(nodes * (down + 1));
      for (let j = 0, k = 0; j <= down; j++) {
        const latitude = latitudeOf((view.y + y0 + j * step) / world);
        for (let i = 0; i <= across; i++, k++) {
          forward(plane.zone, latitude, ((view.x + x0 + i * step) / world - copy) * 360 - 180, scratch);
          cols[k] = (scratch[0] - plane.ulx) / this.tile;
          rows[k] = (plane.uly - scratch[1]) / this.tile;
        }
      }
      for (let j = 0; j < down; j++) {
        for (let i = 0; i < across; i++) {
          const k = j * nodes + i;
          const ca = cols[k],
            cb = cols[k + 1],
            cc = cols[k + nodes],
            cd = cols[k + nodes + 1];
          const ra = rows[k],
            rb = rows[k + 1],
            rc = rows[k + nodes],
            rd = rows[k + nodes + 1];
          if (
            Math.max(ca, cb, cc, cd) < 0 ||
            Math.min(ca, cb, cc, cd) > plane.cols ||
            Math.max(ra, rb, rc, rd) < 0 ||
            Math.min(ra, rb, rc, rd) > plane.rows
          )
            continue;
          const left = x0 + i * step,
            right = Math.min(left + step, x1),
            top = y0 + j * step,
            bottom = Math.min(top + step, y1);
          for (let y = top; y < bottom; y++) {
            const v = (y - top + 0.5) / step;
            const colLeft = ca + (cc - ca) * v,
              colStep = (cb + (cd - cb) * v - colLeft) / step;
            const rowLeft = ra + (rc - ra) * v,
              rowStep = (rb + (rd - rb) * v - rowLeft) / step;
            let col = colLeft + colStep * 0.5,
              row = rowLeft + rowStep * 0.5;
            for (let x = left, o = y * view.width + left; x < right; x++, o++, col += colStep, row += rowStep) {
              if (col >= 0 && row >= 0 && col < plane.cols && row < plane.rows) {
                const tile = plane.offset + (row | 0) * plane.cols + (col | 0);
                if (over[o] < 0) over[o] = tile;
                else if (under) under[o] = tile;
              }
            }
          }
        }
      }
    }
  }

  const meet = (a, b) => a.west < b.east && b.west < a.east && a.north < b.south && b.north < a.south;

  /**
   * Codes of a coarser grid: every cell shows one of its tiles' codes.
   *
   * A plain majority would make rare classes vanish, so each class collects credit for its share of every cell, and a
   * cell goes to the class with most credit among those present (error diffusion): shares over the map are kept.
   * Codes are alike for the purpose when code >> shift is. Codes from `outside` on count for nothing.
   */
  function downsample(fine, coarse, factor, codes, shift, outside) {
    const out = new Uint16Array(coarse.size).fill(outside),
      credit = new Float32Array(65536 >> shift),
      sample = new Uint16Array(65536 >> shift),
      cell = new Uint16Array(factor * factor); // the codes of one cell that count
    fine.planes.forEach((plane, number) => {
      const target = coarse.planes[number];
      for (let row = 0; row < target.rows; row++) {
        const r0 = row * factor,
          r1 = Math.min(r0 + factor, plane.rows);
        for (let col = 0; col < target.cols; col++) {
          const c0 = col * factor,
            c1 = Math.min(c0 + factor, plane.cols);
          let count = 0;
          for (let r = r0; r < r1; r++) {
            const end = plane.offset + r * plane.cols + c1;
            for (let k = end - c1 + c0; k < end; k++) if (codes[k] < outside) cell[count++] = codes[k];
          }
          if (!count) continue;
          const part = 1 / count;
          for (let i = 0; i < count; i++) {
            const key = cell[i] >> shift;
            credit[key] += part;
            sample[key] = cell[i];
          }
          let best = cell[0] >> shift;
          for (let i = 1; i < count; i++) if (credit[cell[i] >> shift] > credit[best]) best = cell[i] >> shift;
          credit[best] -= 1;
          out[target.offset + row * target.cols + col] = sample[best];
        }
      }
    });
    return out;
  }

  Atlas.Grid = Grid;
  Atlas.downsample = downsample;
})(typeof globalThis === "undefined" ? this : globalThis);
