/* Outlines on the grid: the share of every tile that lies inside, and outlines from GeoJSON. No DOM. */
(function (root) {
  "use strict";
  const Atlas = root.Atlas;
  // Sides of an outline are straight in degrees; on the zone's grid they bend, so they are cut into pieces.
  const PIECE = 0.02;

  /**
   * Share of every cell of rows x cols that lies inside polygons, row by row.
   *
   * polygons: [[ring, hole, ...], ...] of [column, row] in cells. Every side adds the area between itself and the right
   * border to its row; sums along the row give the share (the way font rasterizers do it), exact for straight sides.
   */
  function coverage(polygons, rows, cols) {
    const width = cols + 2,
      sums = new Float64Array(rows * width),
      out = new Float32Array(rows * cols);
    for (const rings of polygons) {
      rings.forEach((ring, number) => {
        // outer rings count one way round, holes the other
        const sign = area(ring) > 0 === (number === 0) ? 1 : -1;
        ring.forEach((point, k) => addSide(sums, width, rows, cols, point, ring[(k + 1) % ring.length], sign));
      });
    }
    for (let row = 0; row < rows; row++) {
      for (let col = 0, sum = 0; col < cols; col++) {
        sum += sums[row * width + col];
        out[row * cols + col] = Math.max(0, Math.min(1, sum));
      }
    }
    return out;
  }

  /** Twice the signed area of a ring. */
  function area(ring) {
    return ring.reduce((sum, [x, y], k) => {
      const [a, b] = ring[(k + 1) % ring.length];
      return sum + x * b - a * y;
    }, 0);
  }

  /** Cuts a side where it crosses the left and right border, then row by row. */
  function addSide(sums, width, rows, cols, [x0, y0], [x1, y1], sign) {
    if (y0 === y1) return;
    const cuts = [0, 1];
    for (const border of [0, cols]) if (x0 < border !== x1 < border) cuts.push((border - x0) / (x1 - x0));
    const down = y1 > y0,
      first = Math.max(0, Math.floor(Math.min(y0, y1))),
      last = Math.min(rows - 1, Math.floor(Math.max(y0, y1)));
    if (last < 0 || first >= rows) return;
    for (let row = first; row <= last + 1; row++) {
      const at = (row - y0) / (y1 - y0);
      if (at > 0 && at < 1) cuts.push(at);
    }
    cuts.sort((a, b) => a - b);
    for (let k = 0; k + 1 < cuts.length; k++) {
      const a = cuts[k],
        b = cuts[k + 1],
        height = (b - a) * Math.abs(y1 - y0),
        row = Math.floor(y0 + ((a + b) / 2) * (y1 - y0));
      if (row < 0 || row >= rows || height <= 0) continue;
      const clamp = (x) => Math.max(0, Math.min(cols, x)),
        xa = clamp(x0 + a * (x1 - x0)),
        xb = clamp(x0 + b * (x1 - x0));
      addPiece(sums, row * width, Math.min(xa, xb), Math.max(xa, xb), (down ? -1 : 1) * sign * height);
    }
  }

  /** One piece of a side within a row, from column `left` to `right`, of signed height. */
  function addPiece(sums, start, left, right, height) {
    const first = Math.floor(left),
      last = Math.floor(right);
    if (first === last) {
      const inside = first + 1 - (left + right) / 2;
      sums[start + first] += height * inside;
      sums[start + first + 1] += height * (1 - inside);
      return;
    }
    for (let col = first; col <= last; col++) {
      const from = Math.max(left, col),
        to = Math.min(right, col + 1),
        part = (height * (to - from)) / (right - left),
        inside = col + 1 - (from + to) / 2;
      sums[start + col] += part * inside;
      sums[start + col + 1] += part * (1 - inside);
    }
  }

  /** Share of every tile inside polygons of [longitude, latitude], over the planes given; other tiles 0. */
  function tileShares(grid, planes, polygons) {
    const shares = new Float32Array(grid.size),
      out = [0, 0];
    for (const plane of planes) {
      const placed = polygons.map((rings) =>
        rings.map((ring) =>
          pieces(ring).map(([longitude, latitude]) => {
            const near = longitude - 360 * Math.round((longitude - plane.zone.meridian) / 360);
            Atlas.projection.forward(plane.zone, latitude, near, out);
            return [(out[0] - plane.ulx) / grid.tile, (plane.uly - out[1]) / grid.tile];
          }),
        ),
      );
      shares.set(coverage(placed, plane.rows, plane.cols), plane.offset);
    }
    return shares;
  }

  function pieces(ring) {
    return ring.flatMap(([x, y], k) => {
      const [a, b] = ring[(k + 1) % ring.length],
        count = Math.max(1, Math.ceil(Math.max(Math.abs(a - x), Math.abs(b - y)) / PIECE));
      return Array.from({ length: count }, (_, j) => [x + ((a - x) * j) / count, y + ((b - y) * j) / count]);
    });
  }

  /** Outlines in a GeoJSON object: [{name, polygons}]; anything that is no polygon is left out. */
  function fromGeoJson(found) {
    const features = found.type === "FeatureCollection" ? found.features : [found];
    return (features || []).flatMap((feature, k) => {
      const geometry = feature && (feature.type === "Feature" ? feature.geometry : feature),
        polygons = polygonsOf(geometry),
        properties = (feature && feature.properties) || {},
        field =
          ["name", "NAME", "Name", "NAME_EN"].find((name) => properties[name]) ||
          Object.keys(properties).find((name) => typeof properties[name] === "string" && properties[name]);
      return polygons.length ? [{ name: String(field ? properties[field] : "area " + (k + 1)), polygons }] : [];
    });
  }

  function polygonsOf(geometry) {
    if (!geometry) return [];
    if (geometry.type === "GeometryCollection") return (geometry.geometries || []).flatMap(polygonsOf);
    const polygons = { Polygon: [geometry.coordinates], MultiPolygon: geometry.coordinates }[geometry.type] || [];
    return polygons
      .map((rings) =>
        rings
          .map((ring) => ring.map(([x, y]) => [Number(x), Number(y)]))
          .filter((ring) => ring.length > 2 && ring.every(([x, y]) => Math.abs(x) <= 360 && Math.abs(y) <= 90)),
      )
      .filter((rings) => rings.length);
  }

  Object.assign(Atlas, { coverage, tileShares, fromGeoJson });
})(typeof globalThis === "undefined" ? this : globalThis);
