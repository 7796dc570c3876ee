/* Change between two dates: how likely, how much, from what to what, and where. No DOM. */
(function (root) {
  "use strict";
  const Atlas = root.Atlas;
  const { UNKNOWN, STABLE, UNDECIDED, CHANGED, PERCENT, OUTSIDE, COUNTED_ELSEWHERE } = Atlas;
  // Percent up to which joined pairs are stable (`ChangeOptions.max_stable`).
  const MOST_STABLE = 10;

  /**
   * Change between two dates: {percent, state, measured, estimated, pairs}, one byte a tile; 255 where a date lacks
   * the tile or a class, and everywhere between dates that cannot be compared.
   *
   * Needs the details. What the table of changes holds is taken from there (measured), over the dates between where it
   * compares those, see link(). For other tiles the percent is estimated from the answers, see estimate().
   */
  function change(before, after) {
    const key = before + "," + after;
    let change = this.changeCache.get(key);
    if (change) return change;
    const size = this.grid.size;
    change = {
      percent: new Uint8Array(size).fill(UNKNOWN),
      state: new Uint8Array(size).fill(UNKNOWN),
      measured: false,
      estimated: false,
      pairs: this.details.pairs.filter((pair) => pair.before === before && pair.after === after),
    };
    if (this.comparable(before, after, this.grid.planes)) {
      this.link(before, after, change);
      const ca = this.classes[before],
        cb = this.classes[after],
        k = this.classCount;
      for (let i = 0; i < size; i++) if (ca[i] >= k || cb[i] >= k) change.state[i] = change.percent[i] = UNKNOWN;
      this.estimate(before, after, change);
    }
    if (this.changeCache.size >= 6) this.changeCache.delete(this.changeCache.keys().next().value);
    this.changeCache.set(key, change);
    return change;
  }

  /**
   * What the table says of each tile from date to date, joined: a tile changed where it did between any two of its
   * dates, and its chance is that of at least one change. Where no date lies between, it is what the table says.
   */
  function link(before, after, change) {
    const size = this.grid.size,
      reached = new Int16Array(size).fill(before),
      calm = new Float64Array(size).fill(1),
      claimed = new Uint8Array(size),
      last = new Uint8Array(size),
      links = new Uint8Array(size);
    for (const pair of this.details.pairs.slice().sort((a, b) => a.before - b.before)) {
      if (pair.before < before || pair.after > after) continue;
      pair.percent.forEach((percent, k) => {
        const tile = pair.plane.offset + k;
        if (percent === UNKNOWN || reached[tile] !== pair.before) return;
        reached[tile] = pair.after;
        calm[tile] *= 1 - percent / 100;
        last[tile] = pair.state[k];
        links[tile]++;
        if (pair.state[k] === CHANGED) claimed[tile] = 1;
      });
    }
    for (let i = 0; i < size; i++) {
      if (reached[i] !== after) continue;
      const percent = Math.round(100 * (1 - calm[i]));
      change.percent[i] = percent;
      change.state[i] = links[i] === 1 ? last[i] : claimed[i] ? CHANGED : percent <= MOST_STABLE ? STABLE : UNDECIDED;
      change.measured = true;
    }
  }

  /** Share of tiles that change their class between two dates, by the years between (`ChangeOptions.between`). */
  function expectedChange(before, after) {
    const { land, classShare } = this.meta.expected,
      years = Math.max(Math.abs(Date.parse(this.dates[after]) - Date.parse(this.dates[before])) / 864e5, 1) / 365.25;
    return classShare * Math.min(1 - (1 - land) ** years, 0.5);
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
  function estimate(before, after, change) {
    const k = this.classCount,
      q = this.expectedChange(before, after),
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
   * Sums of a change over a scope, in hectares: by state; by from-to pair (matrix, rows before, changed tiles only),
   * with the hectares expected to be false in each (doubt); lost, gained and net by class (net leaves moves inside a
   * class out). Only tiles with both confidences at the threshold or above count.
   */
  function transitions(before, after, threshold, scope) {
    const k = this.classCount,
      change = this.change(before, after),
      { planes, weight } = scope || this.everywhere();
    const ca = this.classes[before],
      cb = this.classes[after],
      pa = this.confidence[before],
      pb = this.confidence[after];
    const states = [0, 0, 0],
      sums = { differ: 0, falseChanges: 0, sameLabel: 0, left: 0 },
      matrix = new Float64Array(k * k),
      doubt = new Float64Array(k * k);
    for (const plane of planes) {
      for (let i = plane.offset; i < plane.end; i++) {
        const state = change.state[i],
          share = (weight ? weight[i] : 1) * this.hectares;
        if (pa[i] & pb[i] & COUNTED_ELSEWHERE || !share) continue;
        if (state === UNKNOWN) {
          if (ca[i] < OUTSIDE && cb[i] < OUTSIDE) sums.left += share;
          continue;
        }
        if ((pa[i] & PERCENT) < threshold || (pb[i] & PERCENT) < threshold) {
          sums.left += share;
          continue;
        }
        states[state] += share;
        if (ca[i] !== cb[i]) sums.differ += share;
        if (state !== CHANGED) continue;
        const wrong = share * (1 - change.percent[i] / 100),
          at = ca[i] * k + cb[i];
        matrix[at] += share;
        doubt[at] += wrong;
        if (ca[i] === cb[i]) sums.sameLabel += share;
        sums.falseChanges += wrong;
      }
    }
    const lost = new Float64Array(k),
      gained = new Float64Array(k);
    matrix.forEach((value, at) => {
      const from = Math.floor(at / k),
        to = at % k;
      if (from === to) return;
      lost[from] += value;
      gained[to] += value;
    });
    [sums.stable, sums.undecided, sums.changed] = states;
    return Object.assign(sums, {
      matrix,
      doubt,
      lost,
      gained,
      net: gained.map((value, c) => value - lost[c]),
      measured: change.measured,
      estimated: change.estimated,
    });
  }

  /**
   * Joined tiles for which wanted(tile) holds, as patches: {tiles, hectares, sure, from, to}, the most hectares of sure
   * change first. Tiles that meet at a side or corner join; from and to are the commonest move; sure is hectares
   * times chance.
   */
  function patches(before, after, wanted, scope) {
    const { planes, weight } = scope,
      change = this.change(before, after),
      k = this.classCount,
      seen = new Uint8Array(this.grid.size),
      found = [];
    for (const plane of planes) {
      for (let start = plane.offset; start < plane.end; start++) {
        if (change.state[start] !== CHANGED || seen[start] || !wanted(start)) continue;
        const tiles = [start],
          moves = new Map();
        let hectares = 0,
          sure = 0;
        seen[start] = 1;
        for (let at = 0; at < tiles.length; at++) {
          const tile = tiles[at],
            share = (weight ? weight[tile] : 1) * this.hectares,
            move = this.classes[before][tile] * k + this.classes[after][tile];
          hectares += share;
          sure += (share * change.percent[tile]) / 100;
          moves.set(move, (moves.get(move) || 0) + share);
          const row = Math.floor((tile - plane.offset) / plane.cols),
            col = (tile - plane.offset) % plane.cols;
          for (let r = Math.max(0, row - 1); r <= Math.min(plane.rows - 1, row + 1); r++) {
            for (let c = Math.max(0, col - 1); c <= Math.min(plane.cols - 1, col + 1); c++) {
              const next = plane.offset + r * plane.cols + c;
              if (seen[next] || change.state[next] !== CHANGED || !wanted(next)) continue;
              seen[next] = 1;
              tiles.push(next);
            }
          }
        }
        const [move] = [...moves].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
        found.push({ tiles, hectares, sure, from: Math.floor(move / k), to: move % k });
      }
    }
    return found.sort((a, b) => b.sure - a.sure || a.tiles[0] - b.tiles[0]);
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

  Object.assign(Atlas.TileData.prototype, { change, link, expectedChange, estimate, transitions, patches });
  Atlas.largestAgreement = largestAgreement;
})(typeof globalThis === "undefined" ? this : globalThis);
