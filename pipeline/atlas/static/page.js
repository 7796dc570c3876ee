/* The page: state, the two map layers, and the parts that draw from them. Atlas.start() is called by the folium
   map's script. */
(function () {
  "use strict";
  const { el, clear } = Atlas;
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
    STABLE_VEIL = 0.62;
  // Kinds of tiles in Change, in the low bits of their codes.
  const KIND = { stable: 0, undecided: 1, changed: 2, aside: 3 };

  const registered = [];
  /** A part of the page registers itself: make(page) returns {root, draw} or nothing; parts are made in order. */
  Atlas.part = function (order, make) {
    registered.push({ order, make });
    registered.sort((a, b) => a.order - b.order);
  };

  class Page {
    constructor(map, meta) {
      this.map = map;
      this.meta = meta;
      this.classes = meta.classes;
      this.colours = meta.classes.map((entry) => rgb(entry.colour));
      this.grid = new Atlas.Grid(meta.planes, meta.tile);
      const last = meta.dates.length - 1;
      this.state = {
        mode: meta.mode,
        before: 0,
        after: last,
        threshold: 0,
        fade: false,
        opacity: 0.86,
        shown: meta.classes.map(() => true),
        states: true,
        pair: null,
        base: "scene",
        countView: false,
        split: 0.5,
        blink: false,
        pinned: -1,
        theme: "auto",
        labelling: false,
      };
      this.state.before = this.previousDate(last);
      this.parts = [];
      this.stats = {};
    }

    text(id) {
      return document.getElementById(id).textContent;
    }

    /** The latest earlier date that shares a place with a date. */
    previousDate(date) {
      const planes = new Set(this.meta.layers.filter((layer) => layer.date === date).map((layer) => layer.plane));
      const earlier = this.meta.layers
        .filter((layer) => layer.date < date && planes.has(layer.plane))
        .map((layer) => layer.date);
      return earlier.length ? Math.max(...earlier) : Math.max(0, date - 1);
    }

    async load() {
      this.data = new Atlas.TileData(
        this.meta,
        this.grid,
        this.classes.length,
        await Atlas.inflate(Atlas.base64(this.text("atlas-core"))),
      );
      this.buildLayers();
      for (const { make } of registered) {
        const part = make(this);
        if (!part) continue;
        this.parts.push(part);
        if (part.root) this.body.append(part.root);
      }
      this.draw();
      performance.mark("atlas-ready");
      window.atlasReady = true;
      setTimeout(() => this.loadDetails(), 0);
    }

    async loadDetails() {
      this.data.addDetails(await Atlas.inflate(Atlas.base64(this.text("atlas-details"))));
      this.changeCodes = null;
      this.draw();
      window.atlasComplete = true;
    }

    buildShell() {
      const { meta } = this;
      this.tabs = el("div", { class: "tabs", role: "group", "aria-label": "Mode" });
      const modes =
        meta.dates.length > 1
          ? [
              ["map", "Map"],
              ["swipe", "Swipe"],
              ["change", "Change"],
            ]
          : [];
      for (const [mode, name] of modes)
        this.tabs.append(
          el("button", { type: "button", "data-mode": mode, onclick: () => this.setMode(mode) }, name),
        );
      this.tools = el("div", { class: "tools", role: "toolbar", "aria-label": "Tools" });
      this.body = el("div", { class: "panel-body" });
      this.panel = el(
        "aside",
        { class: "panel", id: "atlas-panel", "aria-label": "Land cover atlas" },
        el("button", {
          class: "grab",
          type: "button",
          "aria-label": "Resize the panel",
          onclick: () => this.resizeSheet(),
        }),
        el("header", {}, el("h1", {}, meta.title), el("p", {}, meta.subtitle), modes.length ? this.tabs : null),
        this.body,
      );
      document.body.append(this.panel, el("div", { id: "atlas-live", class: "unseen", "aria-live": "polite" }));
      this.container = this.map.getContainer();
      this.container.append(this.tools);
      L.DomEvent.disableClickPropagation(this.tools);
      this.container.setAttribute(
        "aria-label",
        "Map of land cover. Arrow keys move it, plus and minus zoom. T reads the tile in the middle, Shift " +
          "and arrows walk from tile to tile.",
      );
      this.container.setAttribute("role", "application");
      this.addTheme();
      const home = L.control({ position: "topleft" });
      home.onAdd = () => {
        const box = el(
          "div",
          { class: "leaflet-bar" },
          el(
            "a",
            {
              href: "#",
              role: "button",
              title: "Show everything",
              "aria-label": "Show everything",
              onclick: (event) => {
                event.preventDefault();
                this.fit(meta.bounds);
              },
            },
            Atlas.icon("all"),
          ),
        );
        L.DomEvent.disableClickPropagation(box);
        return box;
      };
      home.addTo(this.map);
      L.control.scale({ imperial: false }).addTo(this.map);
      this.map.attributionControl.setPrefix(
        '<a href="https://leafletjs.com" title="A JavaScript library for interactive maps">Leaflet</a>',
      );
      this.map.attributionControl.addAttribution(el("span", {}, meta.attribution).innerHTML);
      this.map.invalidateSize({ pan: false });
      const start = meta.dates.length - 1,
        first = meta.layers.filter((layer) => layer.date === start).map((layer) => meta.planes[layer.plane].bounds);
      this.fit(L.latLngBounds(first.flat()), true);
    }

    /** Fits bounds into what panel and timeline leave free. */
    fit(bounds, still) {
      const sheet = matchMedia("(max-width: 760px)").matches,
        timeline = this.meta.dates.length > 1;
      const padding = sheet
        ? [
            [16, timeline ? 96 : 16],
            [16, this.panel.offsetHeight + 24],
          ]
        : [
            [24, 24],
            [24, timeline ? 110 : 32],
          ];
      this.map.fitBounds(bounds, { paddingTopLeft: padding[0], paddingBottomRight: padding[1], animate: !still });
    }

    resizeSheet() {
      const { classList } = this.panel,
        next = classList.contains("sheet-max") ? "sheet-min" : classList.contains("sheet-min") ? "" : "sheet-max";
      classList.remove("sheet-min", "sheet-max");
      if (next) classList.add(next);
      document.body.dataset.sheet = next;
    }

    addTheme() {
      const dark = matchMedia("(prefers-color-scheme: dark)"),
        root = document.documentElement;
      const button = Atlas.toolButton("moon", "", () => {
        this.state.theme = root.dataset.theme === "dark" ? "light" : "dark";
        apply();
        this.update({});
      });
      const apply = () => {
        root.dataset.theme = this.state.theme === "auto" ? (dark.matches ? "dark" : "light") : this.state.theme;
        const isDark = root.dataset.theme === "dark";
        clear(button, Atlas.icon(isDark ? "sun" : "moon"));
        button.title = isDark ? "Light colours" : "Dark colours";
        button.setAttribute("aria-label", button.title);
      };
      this.tools.append(button);
      dark.addEventListener("change", apply);
      apply();
    }

    buildLayers() {
      this.layers = {};
      for (const [side, z] of [
        ["before", 310],
        ["after", 305],
      ]) {
        const pane = this.map.createPane("atlas-" + side);
        pane.style.zIndex = z;
        const source = {
          codes: null,
          shift: SHIFT_CLASS,
          lut: null,
          hatch: null,
          label: (tile, named) => this.label(side, tile, named),
        };
        this.layers[side] = {
          source,
          canvas: new L.AtlasCanvas(this.grid, source, { pane: "atlas-" + side }),
          pictures: [],
        };
      }
    }

    update(changes) {
      Object.assign(this.state, changes);
      if (!this.frame)
        this.frame = requestAnimationFrame(() => {
          this.frame = 0;
          this.draw();
        });
    }

    /** Changes the mode; where two dates are needed, picks two that the view has, the latest ones unless it has
     * those shown. */
    setMode(mode) {
      const { state } = this,
        here = this.datesInView(),
        changes = { mode, pair: null, blink: false };
      if (state.labelling && mode !== "map") {
        this.notice("Leave the labelling first.");
        return;
      }
      if (
        mode !== "map" &&
        !(here.includes(state.before) && here.includes(state.after) && state.before < state.after)
      ) {
        const after = here.includes(state.after) && state.after > here[0] ? state.after : here[here.length - 1];
        const earlier = here.filter((date) => date < after);
        if (earlier.length) Object.assign(changes, { after, before: earlier[earlier.length - 1] });
        else this.notice("The places in view were seen at one date only.");
      }
      this.body.scrollTop = 0;
      this.update(changes);
    }

    /** Dates that have tiles in the view, first to last. */
    datesInView() {
      const view = this.map.getBounds(),
        found = this.meta.layers
          .filter((layer) => view.intersects(this.meta.planes[layer.plane].bounds))
          .map((layer) => layer.date);
      return [...new Set(found)].sort((a, b) => a - b);
    }

    /** The date that a side shows; Map and Change show only `after`, blink alternates it. */
    dateOf(side) {
      return side === "before" || (this.state.blink && this.blinkPhase) ? this.state.before : this.state.after;
    }

    draw() {
      const began = performance.now(),
        { state } = this;
      for (const button of this.tabs.children)
        button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
      document.body.dataset.mode = state.mode;
      if (state.mode === "change") this.drawChange();
      else this.drawClasses();
      this.drawPictures();
      this.showLayer("after", true);
      this.showLayer("before", state.mode === "swipe" && !state.blink);
      for (const part of this.parts) if (part.draw) part.draw(state);
      this.stats.draw = performance.now() - began;
    }

    showLayer(side, wanted) {
      const { canvas } = this.layers[side];
      if (!wanted) canvas.remove();
      else if (this.map.hasLayer(canvas)) canvas.repaint();
      else canvas.addTo(this.map);
    }

    drawClasses() {
      const { state } = this,
        lut = new Uint32Array(Atlas.CODES),
        hatch = new Uint32Array(Atlas.CODES);
      for (let c = 0; c < this.classes.length; c++) {
        if (!state.shown[c] || state.labelling) continue;
        for (let p = state.threshold; p <= 100; p++)
          lut[(c << 7) | p] = pixel(
            this.colours[c],
            state.opacity * (state.fade ? 0.2 + 0.8 * Math.min(1, p / 100) ** 1.5 : 1),
          );
      }
      this.paintStates(lut, hatch);
      for (const side of ["before", "after"])
        Object.assign(this.layers[side].source, {
          lut,
          hatch,
          codes: this.data.codes(this.dateOf(side)),
          shift: SHIFT_CLASS,
        });
    }

    /** Tiles without a class: cloud and unclassified are hatched veils, no data only hatched. */
    paintStates(lut, hatch) {
      if (!this.state.states || this.state.labelling) return;
      const { opacity } = this.state;
      lut[Atlas.CLOUD << 7] = pixel(WHITE, 0.75 * opacity);
      hatch[Atlas.CLOUD << 7] = pixel([150, 160, 170], opacity);
      lut[Atlas.UNCLASSIFIED << 7] = pixel(SLATE, 0.5 * opacity);
      hatch[Atlas.UNCLASSIFIED << 7] = pixel(WHITE, 0.6 * opacity);
      lut[Atlas.NO_DATA << 7] = pixel(GREY, 0.12 * opacity);
      hatch[Atlas.NO_DATA << 7] = pixel(GREY, 0.7 * opacity);
    }

    drawChange() {
      const { state } = this,
        count = this.classes.length,
        lut = new Uint32Array(Atlas.CODES),
        hatch = new Uint32Array(Atlas.CODES);
      const dark = document.documentElement.dataset.theme === "dark",
        veil = pixel(dark ? SLATE : WHITE, STABLE_VEIL);
      for (let c = 0; c < count; c++) {
        lut[(c << 7) | KIND.stable] = lut[(c << 7) | KIND.aside] = veil;
        lut[(c << 7) | KIND.undecided] = pixel(dark ? UNDECIDED_DARK : UNDECIDED_VEIL, 0.66);
        hatch[(c << 7) | KIND.undecided] = pixel(dark ? WHITE : SLATE, 0.42);
        lut[(c << 7) | KIND.changed] = pixel(this.colours[c], Math.max(state.opacity, 0.85));
      }
      this.paintStates(lut, hatch);
      const key = [
        state.before,
        state.after,
        state.threshold,
        state.pair,
        state.shown,
        Boolean(this.data.details),
      ].join();
      if (!this.changeCodes || this.changeKey !== key) {
        this.changeKey = key;
        this.changeCodes = this.codesOfChange();
      }
      Object.assign(this.layers.after.source, { lut, hatch, codes: this.changeCodes, shift: SHIFT_NONE });
    }

    /** Class after << 7 | kind of every tile. */
    codesOfChange() {
      const { state, data } = this,
        count = this.classes.length,
        codes = new Uint16Array(this.grid.size).fill(Atlas.OUTSIDE_CODE);
      const before = data.classes[state.before],
        after = data.classes[state.after],
        pb = data.confidence[state.before],
        pa = data.confidence[state.after];
      const change = data.details ? data.change(state.before, state.after) : null;
      for (let i = 0; i < codes.length; i++) {
        const to = after[i],
          from = before[i];
        if (to === Atlas.OUTSIDE) continue;
        if (to >= count) {
          codes[i] = to << 7;
          continue;
        }
        if (from === Atlas.OUTSIDE) continue;
        if (from >= count) {
          codes[i] = from << 7;
          continue;
        }
        const doubtful = (pa[i] & Atlas.PERCENT) < state.threshold || (pb[i] & Atlas.PERCENT) < state.threshold;
        const verdict = !change || doubtful ? Atlas.STABLE : change.state[i];
        let kind =
          verdict === Atlas.CHANGED ? KIND.changed : verdict === Atlas.UNDECIDED ? KIND.undecided : KIND.stable;
        if (kind === KIND.changed && (state.pair ? from !== state.pair[0] || to !== state.pair[1] : !state.shown[to]))
          kind = KIND.aside;
        codes[i] = (to << 7) | kind;
      }
      return codes;
    }

    /** Whether a tile shows as changed under the present filters. */
    isChanged(tile) {
      return (
        this.changeCodes &&
        (this.changeCodes[tile] & 127) === KIND.changed &&
        this.changeCodes[tile] < Atlas.UNCLASSIFIED << 7
      );
    }

    drawPictures() {
      const { state, meta } = this;
      for (const side of ["before", "after"]) {
        const wanted = state.base === "scene" && (side === "after" || (state.mode === "swipe" && !state.blink));
        const date = this.dateOf(side),
          key = wanted ? String(date) : "",
          layer = this.layers[side];
        if (layer.pictureKey === key) continue;
        layer.pictureKey = key;
        for (const picture of layer.pictures) picture.remove();
        layer.pictures = !wanted
          ? []
          : meta.quicklooks
              .filter((picture) => picture.date === date)
              .map((picture) =>
                L.imageOverlay("data:image/webp;base64," + this.text(picture.element), picture.bounds, {
                  pane: "atlas-" + side,
                  zIndex: 0,
                  alt: "",
                  className: "atlas-picture",
                }).addTo(this.map),
              );
      }
    }

    /** What stands in a tile: letters, or name and percent; in Change only on changed tiles. */
    label(side, tile, named) {
      const { state, data } = this,
        date = this.dateOf(side),
        code = data.classes[date][tile];
      if (code >= this.classes.length) return null;
      const entry = this.classes[code],
        percent = data.confidence[date][tile] & Atlas.PERCENT;
      // On a faint class the picture beneath decides what can be read, so the letters bring their own ground.
      const faint = state.opacity < 0.6 && state.mode !== "change",
        ink = faint ? "#ffffff" : entry.ink,
        halo = faint ? "rgba(0, 0, 0, .75)" : null;
      if (state.mode !== "change")
        return { title: named ? entry.short : entry.letters, note: percent + " %", ink, halo };
      if (!this.isChanged(tile)) return null;
      const from = this.classes[data.classes[state.before][tile]],
        chance = data.change(state.before, state.after).percent[tile];
      return {
        title: from === entry ? entry.letters : from.letters + " → " + entry.letters,
        note: chance + " %",
        ink: entry.ink,
      };
    }

    /** 1 for tiles whose centre lies in the view. */
    inView() {
      const [xs, ys] = this.grid.centres(),
        bounds = this.map.getBounds(),
        { mercatorX, mercatorY } = Atlas.projection,
        inside = new Uint8Array(this.grid.size);
      const west = mercatorX(bounds.getWest()),
        east = mercatorX(bounds.getEast()),
        north = mercatorY(bounds.getNorth()),
        south = mercatorY(bounds.getSouth());
      for (let i = 0; i < inside.length; i++) {
        const x = xs[i] - Math.round(xs[i] - (west + east) / 2);
        inside[i] = x > west && x < east && ys[i] > north && ys[i] < south ? 1 : 0;
      }
      return inside;
    }

    countMask() {
      return this.state.countView ? this.inView() : null;
    }

    notice(text) {
      if (!this.noticeBox) this.container.append((this.noticeBox = el("div", { class: "notice", role: "status" })));
      clear(this.noticeBox, text);
      this.noticeBox.classList.add("on");
      clearTimeout(this.noticeTimer);
      this.noticeTimer = setTimeout(() => this.noticeBox.classList.remove("on"), 6000);
    }
  }

  /** Builds the page on a Leaflet map; window.atlasReady turns true when the map is painted, window.atlasComplete
   * when all is decoded. */
  Atlas.start = function (map, meta) {
    const page = (window.atlas = new Page(map, meta));
    page.buildShell();
    page.load().catch((error) => {
      page.notice("This page's data could not be decoded: " + error.message + ". A current browser is needed.");
      throw error;
    });
  };
})();
