/* Degrees <-> metres of a UTM zone, and degrees <-> the web map's unit square. No DOM. */
(function (root) {
  "use strict";
  // Transverse Mercator as Krueger series to order n^4 (Karney 2011, https://doi.org/10.1007/s00190-011-0445-3), WGS
  // 84.
  const SEMI_MAJOR = 6378137,
    FLATTENING = 1 / 298.257223563,
    SCALE = 0.9996,
    RADIAN = Math.PI / 180;
  const ECCENTRICITY = Math.sqrt(FLATTENING * (2 - FLATTENING));
  const n = FLATTENING / (2 - FLATTENING),
    n2 = n * n,
    n3 = n2 * n,
    n4 = n3 * n;
  const RADIUS = ((SCALE * SEMI_MAJOR) / (1 + n)) * (1 + n2 / 4 + n4 / 64);
  const ALPHA = [
    n / 2 - (2 * n2) / 3 + (5 * n3) / 16 + (41 * n4) / 180,
    (13 * n2) / 48 - (3 * n3) / 5 + (557 * n4) / 1440,
    (61 * n3) / 240 - (103 * n4) / 140,
    (49561 * n4) / 161280,
  ];
  const BETA = [
    n / 2 - (2 * n2) / 3 + (37 * n3) / 96 - n4 / 360,
    n2 / 48 + n3 / 15 - (437 * n4) / 1440,
    (17 * n3) / 480 - (37 * n4) / 840,
    (4397 * n4) / 161280,
  ];

  /** A zone's central meridian in degrees and its false northing. */
  function zone(epsg) {
    return { meridian: (epsg % 100) * 6 - 183, falseNorthing: epsg >= 32700 ? 1e7 : 0 };
  }

  /** Metres east and north of a place in degrees, written to out. */
  function forward(zone, latitude, longitude, out) {
    const sine = Math.sin(latitude * RADIAN),
      delta = (longitude - zone.meridian) * RADIAN;
    const t = Math.sinh(Math.atanh(sine) - ECCENTRICITY * Math.atanh(ECCENTRICITY * sine));
    const xi = Math.atan2(t, Math.cos(delta)),
      eta = Math.atanh(Math.sin(delta) / Math.sqrt(1 + t * t));
    let east = eta,
      north = xi;
    for (let j = 1; j <= 4; j++) {
      north += ALPHA[j - 1] * Math.sin(2 * j * xi) * Math.cosh(2 * j * eta);
      east += ALPHA[j - 1] * Math.cos(2 * j * xi) * Math.sinh(2 * j * eta);
    }
    out[0] = 500000 + RADIUS * east;
    out[1] = zone.falseNorthing + RADIUS * north;
    return out;
  }

  /** Latitude and longitude of metres east and north, written to out; longitudes are continuous around the zone. */
  function inverse(zone, east, north, out) {
    const xi = (north - zone.falseNorthing) / RADIUS,
      eta = (east - 500000) / RADIUS;
    let x = xi,
      y = eta;
    for (let j = 1; j <= 4; j++) {
      x -= BETA[j - 1] * Math.sin(2 * j * xi) * Math.cosh(2 * j * eta);
      y -= BETA[j - 1] * Math.cos(2 * j * xi) * Math.sinh(2 * j * eta);
    }
    const sine = Math.sin(x) / Math.cosh(y),
      tau = sine / Math.sqrt(1 - sine * sine);
    let t = tau; // conformal to geographic latitude by Newton's method
    for (let i = 0; i < 4; i++) {
      const s = Math.sinh(ECCENTRICITY * Math.atanh((ECCENTRICITY * t) / Math.sqrt(1 + t * t)));
      const guess = t * Math.sqrt(1 + s * s) - s * Math.sqrt(1 + t * t);
      t +=
        (((tau - guess) / Math.sqrt(1 + guess * guess)) * (1 + (1 - ECCENTRICITY ** 2) * t * t)) /
        ((1 - ECCENTRICITY ** 2) * Math.sqrt(1 + t * t));
    }
    out[0] = Math.atan(t) / RADIAN;
    out[1] = zone.meridian + Math.atan2(Math.sinh(y), Math.cos(x)) / RADIAN;
    return out;
  }

  // The web map's unit square: x from longitude -180 eastward, y from the north edge southward.
  const mercatorX = (longitude) => (longitude + 180) / 360;
  function mercatorY(latitude) {
    const s = Math.sin(latitude * RADIAN);
    return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
  }
  const latitudeOf = (y) => Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RADIAN;

  const Atlas = (root.Atlas = root.Atlas || {});
  Atlas.projection = { zone, forward, inverse, mercatorX, mercatorY, latitudeOf };
})(typeof globalThis === "undefined" ? this : globalThis);
