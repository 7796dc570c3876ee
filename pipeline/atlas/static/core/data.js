/* What the tiles say: decoding and counting. No DOM. */
(function (root) {
  "use strict";
  const Atlas = root.Atlas;
  // Bytes above the classes, as payload.py writes them.
  const UNCLASSIFIED = 252,
    CLOUD = 253,
    NO_DATA = 254,
    OUTSIDE = 255;
  const COUNTED_ELSEWHERE = 0x80,
    PERCENT = 0x7f;
  // A code joins class and confidence: class byte << 7 | percent.
  const CODES = 32768,
    OUTSIDE_CODE = OUTSIDE << 7;
  const STABLE = 0,
    UNDECIDED = 1,
    CHANGED = 2,
    UNKNOWN = 255;
  // Stands in the tables for a scene whose date nothing tells.
  const UNDATED = "1970-01-01";

  function base64(text) {
    const raw = atob(text),
      bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  class TileData {
    /** meta as payload.py describes it, with classCount; bytes: the inflated core. */
    constructor(meta, grid, classCount, bytes) {
      this.meta = meta;
      this.grid = grid;
      this.classCount = classCount;
      this.dates = meta.dates;
      this.hectares = (grid.tile * grid.tile) / 1e4;
      this.classes = meta.dates.map(() => new Uint8Array(grid.size).fill(OUTSIDE));
      this.confidence = meta.dates.map(() => new Uint8Array(grid.size));
      let at = this.spread(bytes, 0, meta.layers, this.classes);
      this.spread(bytes, at, meta.layers, this.confidence);
      this.codeCache = new Map();
      this.tallies = new Map();
      this.sharing = new Map();
      this.changeCache = new Map();
      this.details = null;
    }

    /** Copies one plane a layer from bytes to the arrays of their dates; returns where it stopped. */
    spread(bytes, at, layers, target) {
      for (const layer of layers) {
        const plane = this.grid.planes[layer.plane],
          size = plane.rows * plane.cols;
        target[layer.date].set(bytes.subarray(at, at + size), plane.offset);
        at += size;
      }
      return at;
    }

    /** Adds what the tile card and the changes need: runner-up, fractions, owners, evidence of change. */
    addDetails(bytes) {
      const { layers, pairs, dates } = this.meta,
        empty = (fill) => dates.map(() => new Uint8Array(this.grid.size).fill(fill));
      const details = {
        runnerUp: empty(OUTSIDE),
        runnerUpConfidence: empty(0),
        valid: empty(0),
        cloud: empty(0),
        owner: empty(0),
      };
      let at = 0;
      for (const name of ["runnerUp", "runnerUpConfidence", "valid", "cloud"])
        at = this.spread(bytes, at, layers, details[name]);
      at = this.spread(
        bytes,
        at,
        layers.filter((layer) => layer.scenes.length > 1),
        details.owner,
      );
      details.pairs = pairs.map((pair) => {
        const plane = this.grid.planes[pair.plane],
          size = plane.rows * plane.cols,
          found = { before: pair.before, after: pair.after, plane };
        for (const name of ["percent", "state"].concat(
          pair.vector ? ["vector"] : [],
          pair.label ? ["label"] : [],
        )) {
          found[name] = bytes.subarray(at, at + size);
          at += size;
        }
        return found;
      });
      this.details = details;
      this.changeCache.clear();
    }

    exists(date, tile) {
      return this.classes[date][tile] !== OUTSIDE;
    }

    /** Class and percent of every tile in one number each; dates: by plane, -1 where nothing is shown. */
    codes(dates) {
      const key = dates.join();
      let codes = this.codeCache.get(key);
      if (!codes) {
        codes = new Uint16Array(this.grid.size).fill(OUTSIDE_CODE);
        this.grid.planes.forEach((plane, number) => {
          const date = dates[number];
          if (date < 0) return;
          const classes = this.classes[date],
            confidence = this.confidence[date];
          for (let i = plane.offset; i < plane.end; i++) codes[i] = (classes[i] << 7) | (confidence[i] & PERCENT);
        });
        if (this.codeCache.size >= 12) this.codeCache.delete(this.codeCache.keys().next().value);
        this.codeCache.set(key, codes);
      }
      return codes;
    }

    /** All that there is, as a scope: {key, planes, weight}; weight: share of every tile that counts, null for all. */
    everywhere() {
      return { key: "all", planes: this.grid.planes, weight: null };
    }

    /** Tiles by code at a date; each place counts once, a tile at a scope's border by its part inside. */
    tally(date, scope) {
      const { key, planes, weight } = scope || this.everywhere(),
        name = date + " " + key;
      let counts = this.tallies.get(name);
      if (counts) return counts;
      counts = new Float64Array(CODES);
      const classes = this.classes[date],
        confidence = this.confidence[date];
      for (const plane of planes) {
        for (let i = plane.offset; i < plane.end; i++) {
          if (!(confidence[i] & COUNTED_ELSEWHERE))
            counts[(classes[i] << 7) | confidence[i]] += weight ? weight[i] : 1;
        }
      }
      if (this.tallies.size >= 32) this.tallies.delete(this.tallies.keys().next().value);
      this.tallies.set(name, counts);
      return counts;
    }

    /** Tiles by class byte (256 numbers) with at least `threshold` percent; tile states always count. */
    areas(date, threshold, scope) {
      const counts = this.tally(date, scope),
        areas = new Float64Array(256);
      for (let c = 0; c < this.classCount; c++)
        for (let p = threshold; p < 128; p++) areas[c] += counts[(c << 7) | p];
      for (let c = UNCLASSIFIED; c < OUTSIDE; c++) for (let p = 0; p < 128; p++) areas[c] += counts[(c << 7) | p];
      return areas;
    }

    /** Classified tiles by percent of confidence (101 numbers). */
    histogram(date, scope) {
      const counts = this.tally(date, scope),
        histogram = new Float64Array(101);
      for (let c = 0; c < this.classCount; c++)
        for (let p = 0; p <= 100; p++) histogram[p] += counts[(c << 7) | p];
      return histogram;
    }

    /** Whether two dates can be compared: both are known, and some tile of the planes is there at both. */
    comparable(before, after, planes) {
      if (before < 0 || after < 0 || before === after) return false;
      if (this.dates[before] === UNDATED || this.dates[after] === UNDATED) return false;
      const key = before + " " + after + " " + planes.map((plane) => plane.number).join();
      if (!this.sharing.has(key)) {
        const one = this.classes[before],
          two = this.classes[after];
        this.sharing.set(
          key,
          planes.some((plane) => {
            for (let i = plane.offset; i < plane.end; i++)
              if (one[i] !== OUTSIDE && two[i] !== OUTSIDE) return true;
            return false;
          }),
        );
      }
      return this.sharing.get(key);
    }

    /** Tiles by class byte at two dates, of those only that carry a class of at least `threshold` percent at both. */
    compared(before, after, threshold, scope) {
      const { planes, weight } = scope,
        found = { before: new Float64Array(256), after: new Float64Array(256) },
        one = this.classes[before],
        two = this.classes[after],
        p1 = this.confidence[before],
        p2 = this.confidence[after],
        k = this.classCount;
      for (const plane of planes) {
        for (let i = plane.offset; i < plane.end; i++) {
          if (one[i] >= k || two[i] >= k || p1[i] & p2[i] & COUNTED_ELSEWHERE) continue;
          if ((p1[i] & PERCENT) < threshold || (p2[i] & PERCENT) < threshold) continue;
          const share = weight ? weight[i] : 1;
          found.before[one[i]] += share;
          found.after[two[i]] += share;
        }
      }
      return found;
    }

    /** Which scene's answer a tile shows, as an index into meta.scenes. */
    sceneOf(date, tile) {
      const plane = this.grid.where(tile).plane.number;
      const layer = this.meta.layers.find((l) => l.date === date && l.plane === plane);
      return layer.scenes[this.details && layer.scenes.length > 1 ? this.details.owner[date][tile] : 0];
    }
  }

  Object.assign(Atlas, {
    UNCLASSIFIED,
    CLOUD,
    NO_DATA,
    OUTSIDE,
    COUNTED_ELSEWHERE,
    PERCENT,
    CODES,
    OUTSIDE_CODE,
    STABLE,
    UNDECIDED,
    CHANGED,
    UNKNOWN,
    base64,
    inflate,
    UNDATED,
    TileData,
  });
})(typeof globalThis === "undefined" ? this : globalThis);
