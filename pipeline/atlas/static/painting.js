/* What colour every tile has: tables of colours for classes and for change. */
(function () {
  "use strict";
  const SHIFT_CLASS = 7,
    SHIFT_NONE = 0;
  const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  /** A canvas pixel as one number (little-endian RGBA). */
  const pixel = ([red, green, blue], alpha) =>
    ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const WHITE = [255, 255, 255],
    SLATE = [62, 68, 74],
    GREY = [125, 134, 142],
    UNDECIDED_VEIL = [205, 200, 190],
    UNDECIDED_DARK = [104, 106, 108],
    STABLE_VEIL = 0.62,
    STRIPES = 1;
  // Kinds of tiles in Change, in the low bits of their codes.
  const KIND = { stable: 0, undecided: 1, changed: 2, aside: 3 };

  const tables = () => ({
    lut: new Uint32Array(Atlas.CODES),
    hatch: new Uint32Array(Atlas.CODES),
    pattern: new Uint8Array(Atlas.CODES),
  });

  /** Lighter on dark, darker on light: the second colour of a texture. */
  function second(colour) {
    const [red, green, blue] = rgb(colour),
      light = 0.3 * red + 0.59 * green + 0.11 * blue > 110;
    return [red, green, blue].map((v) => Math.round(light ? v * 0.68 : v + (255 - v) * 0.36));
  }

  /** Tiles without a class: cloud and unclassified are hatched veils, no data only hatched. */
  function paintStates(page, { lut, hatch, pattern }) {
    const { opacity, states, labelling } = page.state;
    if (!states || labelling || page.showsCover()) return;
    for (const [code, veil, line] of [
      [Atlas.CLOUD, pixel(WHITE, 0.75 * opacity), pixel([150, 160, 170], opacity)],
      [Atlas.UNCLASSIFIED, pixel(SLATE, 0.5 * opacity), pixel(WHITE, 0.6 * opacity)],
      [Atlas.NO_DATA, pixel(GREY, 0.12 * opacity), pixel(GREY, 0.7 * opacity)],
    ]) {
      lut[code << 7] = veil;
      hatch[code << 7] = line;
      pattern[code << 7] = STRIPES;
    }
  }

  function paintClass(page, table, code, alpha, c) {
    const { colour, texture } = page.classes[c];
    table.lut[code] = pixel(rgb(colour), alpha);
    if (!texture) return;
    table.hatch[code] = pixel(second(colour), alpha);
    table.pattern[code] = texture;
  }

  /** Sets both layers to the classes of the dates that they show. */
  function paintClasses(page) {
    const { state, classes } = page,
      table = tables();
    classes.forEach((_, c) => {
      if (!state.shown[c] || state.labelling || page.showsCover()) return;
      for (let p = state.threshold; p <= 100; p++) {
        const faded = state.fade ? 0.2 + 0.8 * Math.min(1, p / 100) ** 1.5 : 1;
        paintClass(page, table, (c << 7) | p, state.opacity * faded, c);
      }
    });
    paintStates(page, table);
    for (const side of ["before", "after"])
      Object.assign(page.layers[side].source, table, {
        codes: page.data.codes(page.datesOf(side)),
        shift: SHIFT_CLASS,
        marks: null,
      });
  }

  /** Sets the later layer to what changed between the two dates. */
  function paintChange(page) {
    const { state, classes, dark } = page,
      table = tables(),
      veil = pixel(dark ? SLATE : WHITE, STABLE_VEIL);
    classes.forEach((_, c) => {
      table.lut[(c << 7) | KIND.stable] = table.lut[(c << 7) | KIND.aside] = veil;
      table.lut[(c << 7) | KIND.undecided] = pixel(dark ? UNDECIDED_DARK : UNDECIDED_VEIL, 0.66);
      table.hatch[(c << 7) | KIND.undecided] = pixel(dark ? WHITE : SLATE, 0.42);
      table.pattern[(c << 7) | KIND.undecided] = STRIPES;
      paintClass(page, table, (c << 7) | KIND.changed, Math.max(state.opacity, 0.85), c);
    });
    paintStates(page, table);
    const { before, after, threshold, pair, shown, place } = state,
      key = [before, after, threshold, pair, shown, place, Boolean(page.data.details)].join();
    if (!page.changeCodes || page.changeKey !== key) {
      page.changeKey = key;
      page.changeCodes = codesOfChange(page);
      page.changeMarks = [];
      for (const plane of page.planesHere())
        for (let i = plane.offset; i < plane.end; i++) if (isChanged(page, i)) page.changeMarks.push(i);
    }
    Object.assign(page.layers.after.source, table, {
      codes: page.changeCodes,
      shift: SHIFT_NONE,
      marks: page.changeMarks,
    });
  }

  /** Class after << 7 | kind of every tile of the place. */
  function codesOfChange(page) {
    const { state, data } = page,
      count = page.classes.length,
      codes = new Uint16Array(page.grid.size).fill(Atlas.OUTSIDE_CODE),
      before = data.classes[state.before],
      after = data.classes[state.after],
      pb = data.confidence[state.before],
      pa = data.confidence[state.after],
      change = data.details ? data.change(state.before, state.after) : null;
    for (const plane of page.planesHere()) {
      for (let i = plane.offset; i < plane.end; i++) {
        const to = after[i],
          from = before[i];
        if (to === Atlas.OUTSIDE || (to < count && from === Atlas.OUTSIDE)) continue;
        if (to >= count || from >= count) {
          codes[i] = (to >= count ? to : from) << 7;
          continue;
        }
        const doubtful = (pa[i] & Atlas.PERCENT) < state.threshold || (pb[i] & Atlas.PERCENT) < state.threshold,
          verdict = !change || doubtful ? Atlas.STABLE : change.state[i];
        let kind =
          verdict === Atlas.CHANGED ? KIND.changed : verdict === Atlas.UNDECIDED ? KIND.undecided : KIND.stable;
        // A class that is chosen shows what it lost as well as what it gained.
        const wanted = state.pair
          ? from === state.pair[0] && to === state.pair[1]
          : state.shown[from] || state.shown[to];
        if (kind === KIND.changed && !wanted) kind = KIND.aside;
        codes[i] = (to << 7) | kind;
      }
    }
    return codes;
  }

  /** Whether a tile shows as changed under the present filters. */
  function isChanged(page, tile) {
    const code = page.changeCodes ? page.changeCodes[tile] : Atlas.OUTSIDE_CODE;
    return (code & 127) === KIND.changed && code < Atlas.UNCLASSIFIED << 7;
  }

  /** What stands in a tile: letters, or name and percent; in Change only on changed tiles. */
  function label(page, side, tile, named) {
    const { state, data } = page,
      date = page.datesOf(side)[page.grid.where(tile).plane.number],
      code = date < 0 ? Atlas.OUTSIDE : data.classes[date][tile];
    if (code >= page.classes.length) return null;
    const entry = page.classes[code],
      percent = data.confidence[date][tile] & Atlas.PERCENT;
    // On a faint or textured class the ground beneath decides what can be read, so the letters bring their own.
    const faint = (state.opacity < 0.6 && state.mode !== "change") || entry.texture,
      ink = faint ? "#ffffff" : entry.ink,
      halo = faint ? "rgba(0, 0, 0, .75)" : null;
    if (state.mode !== "change")
      return { title: named ? entry.short : entry.letters, note: percent + " %", ink, halo };
    if (!isChanged(page, tile)) return null;
    const from = page.classes[data.classes[state.before][tile]],
      chance = data.change(state.before, state.after).percent[tile];
    return {
      title: from === entry ? entry.letters : from.letters + " → " + entry.letters,
      note: chance + " %",
      ink,
      halo,
    };
  }

  Atlas.painting = { paintClasses, paintChange, isChanged, label, textureColour: second };
})();
