/* What the tiles say: decoding, counting, change between two dates. No DOM. */
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
      this.tallies = [];
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
        for (const name of ["percent", "state"].concat(pair.vector ? ["vector"] : [], pair.label ? ["label"] : [])) {
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

    /** Class and percent of every tile at a date in one number each. */
    codes(date) {
      let codes = this.codeCache.get(date);
      if (!codes) {
        const classes = this.classes[date],
          confidence = this.confidence[date];
        codes = new Uint16Array(this.grid.size);
        for (let i = 0; i < codes.length; i++) codes[i] = (classes[i] << 7) | (confidence[i] & PERCENT);
        if (this.codeCache.size >= 12) this.codeCache.delete(this.codeCache.keys().next().value);
        this.codeCache.set(date, codes);
      }
      return codes;
    }

    /** How many tiles carry each code at a date; each place counts once. inside: 1 for tiles to count, or null for
     * all. */
    tally(date, inside) {
      if (!inside && this.tallies[date]) return this.tallies[date];
      const counts = new Uint32Array(CODES),
        classes = this.classes[date],
        confidence = this.confidence[date];
      for (let i = 0; i < classes.length; i++) {
        if (!(confidence[i] & COUNTED_ELSEWHERE) && (!inside || inside[i]))
          counts[(classes[i] << 7) | confidence[i]]++;
      }
      if (!inside) this.tallies[date] = counts;
      return counts;
    }

    /** Tiles by class byte (256 numbers) with at least `threshold` percent; tile states always count. */
    areas(date, threshold, inside) {
      const counts = this.tally(date, inside),
        areas = new Float64Array(256);
      for (let c = 0; c < this.classCount; c++)
        for (let p = threshold; p < 128; p++) areas[c] += counts[(c << 7) | p];
      for (let c = UNCLASSIFIED; c < OUTSIDE; c++) for (let p = 0; p < 128; p++) areas[c] += counts[(c << 7) | p];
      return areas;
    }

    /** Classified tiles by percent of confidence (101 numbers). */
    histogram(date) {
      const counts = this.tally(date),
        histogram = new Float64Array(101);
      for (let c = 0; c < this.classCount; c++) for (let p = 0; p <= 100; p++) histogram[p] += counts[(c << 7) | p];
      return histogram;
    }

    /** Which scene's answer a tile shows, as an index into meta.scenes. */
    sceneOf(date, tile) {
      const plane = this.grid.where(tile).plane.number;
      const layer = this.meta.layers.find((l) => l.date === date && l.plane === plane);
      return layer.scenes[this.details && layer.scenes.length > 1 ? this.details.owner[date][tile] : 0];
    }

    /**
     * Change between two dates: {percent, state, measured}, one byte a tile; 255 where a date lacks the tile or a
     * class.
     *
     * Needs the details. Pairs that the tables hold are taken from there (measured = 1). For other tiles the percent
     * is estimated from the
     * answers, see estimate().
     */
    change(before, after) {
      const key = before + "," + after;
      let change = this.changeCache.get(key);
      if (change) return change;
      const size = this.grid.size;
      change = {
        percent: new Uint8Array(size).fill(UNKNOWN),
        state: new Uint8Array(size).fill(UNKNOWN),
        measured: false,
        estimated: false,
        pairs: [],
      };
      for (const pair of this.details.pairs) {
        if (pair.before !== before || pair.after !== after) continue;
        change.percent.set(pair.percent, pair.plane.offset);
        change.state.set(pair.state, pair.plane.offset);
        change.pairs.push(pair);
        change.measured = true;
      }
      const ca = this.classes[before],
        cb = this.classes[after],
        k = this.classCount;
      for (let i = 0; i < size; i++) if (ca[i] >= k || cb[i] >= k) change.state[i] = change.percent[i] = UNKNOWN;
      this.estimate(before, after, change);
      if (this.changeCache.size >= 6) this.changeCache.delete(this.changeCache.keys().next().value);
      this.changeCache.set(key, change);
      return change;
    }

    /**
     * A cautious chance of change from the answers alone; "the labels differ" is not called change.
     *
     * With s = sum over classes of p_before * p_after (the chance that both dates show the same class), a prior q of
     * change, even class frequencies and k classes, Bayes' rule gives
     *     p_change = q (1 - s) / (k - 1) / (q (1 - s) / (k - 1) + (1 - q) s).
     * Only the two best classes of each date are known here, so s is taken as large as they allow, which makes
     * p_change
     * as small as they allow. State: changed where the labels differ and p_change >= 0.5; stable where they agree and
     * p_change < 0.1; else undecided.
     */
    estimate(before, after, change) {
      const k = this.classCount,
        q = this.meta.changePrior,
        { runnerUp, runnerUpConfidence } = this.details;
      const ca = this.classes[before],
        cb = this.classes[after],
        pa = this.confidence[before],
        pb = this.confidence[after];
      for (let i = 0; i < ca.length; i++) {
        const a = ca[i],
          b = cb[i];
        if (a >= k || b >= k || change.state[i] !== UNKNOWN) continue;
        change.estimated = true;
        const s = largestAgreement(
          a,
          (pa[i] & PERCENT) / 100,
          runnerUp[before][i],
          runnerUpConfidence[before][i] / 100,
          b,
          (pb[i] & PERCENT) / 100,
          runnerUp[after][i],
          runnerUpConfidence[after][i] / 100,
        );
        const moved = (q * (1 - s)) / (k - 1),
          p = moved / (moved + (1 - q) * s);
        change.percent[i] = Math.round(100 * p);
        change.state[i] = a !== b ? (p >= 0.5 ? CHANGED : UNDECIDED) : p < 0.1 ? STABLE : UNDECIDED;
      }
    }

    /**
     * Sums of a change: hectares by state, by from-to pair (matrix, rows before, changed tiles only), and how many of
     * the changed hectares are expected to be false. Only tiles with both confidences at the threshold or above
     * count.
     */
    transitions(before, after, threshold, inside) {
      const k = this.classCount,
        change = this.change(before, after),
        matrix = new Float64Array(k * k);
      const ca = this.classes[before],
        cb = this.classes[after],
        pa = this.confidence[before],
        pb = this.confidence[after];
      const counts = [0, 0, 0],
        sums = { matrix, differ: 0, falseChanges: 0, sameLabel: 0, lost: 0 };
      for (let i = 0; i < ca.length; i++) {
        const state = change.state[i];
        if (pb[i] & COUNTED_ELSEWHERE || (inside && !inside[i])) continue;
        if (state === UNKNOWN) {
          if (ca[i] < OUTSIDE && cb[i] < OUTSIDE) sums.lost++;
          continue;
        }
        if ((pa[i] & PERCENT) < threshold || (pb[i] & PERCENT) < threshold) {
          sums.lost++;
          continue;
        }
        counts[state]++;
        if (ca[i] !== cb[i]) sums.differ++;
        if (state !== CHANGED) continue;
        if (ca[i] < k && cb[i] < k) matrix[ca[i] * k + cb[i]]++;
        if (ca[i] === cb[i]) sums.sameLabel++;
        sums.falseChanges += 1 - change.percent[i] / 100;
      }
      for (let j = 0; j < matrix.length; j++) matrix[j] *= this.hectares;
      for (const name of ["differ", "falseChanges", "sameLabel", "lost"]) sums[name] *= this.hectares;
      [sums.stable, sums.undecided, sums.changed] = counts.map((count) => count * this.hectares);
      sums.measured = change.measured;
      sums.estimated = change.estimated;
      return sums;
    }
  }

  /**
   * The largest sum of products of two class distributions of which the two best classes are known: a and c with
   * shares
   * a1 >= a2 before, b and d with b1 >= b2 after. What a date does not name is spread so that it helps most, no class
   * beyond the second's share. Flat arguments, because it runs once a tile.
   */
  function largestAgreement(a, a1, c, a2, b, b1, d, b2) {
    let sum = 0,
      before1 = 0,
      before2 = 0,
      after1 = 0,
      after2 = 0; // shares of classes that only one date names, larger first
    if (a === b) sum += a1 * b1;
    else if (a === d) sum += a1 * b2;
    else before1 = a1;
    if (c === b) sum += a2 * b1;
    else if (c === d) sum += a2 * b2;
    else if (before1) before2 = a2;
    else before1 = a2;
    if (b !== a && b !== c) after1 = b1;
    if (d !== a && d !== c) {
      if (after1) after2 = b2;
      else after1 = b2;
    }
    const restBefore = Math.max(0, 1 - a1 - a2),
      restAfter = Math.max(0, 1 - b1 - b2);
    const mostBefore = Math.min(restBefore, a2),
      mostAfter = Math.min(restAfter, b2);
    sum +=
      before1 * mostAfter +
      before2 * (restAfter - mostAfter) +
      after1 * mostBefore +
      after2 * (restBefore - mostBefore);
    return Math.min(1, sum + Math.min(mostBefore * restAfter, mostAfter * restBefore));
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
    TileData,
    largestAgreement,
  });
})(typeof globalThis === "undefined" ? this : globalThis);
