/* The page: what is looked at, the two map layers, and the parts that draw from them. Atlas.start() is called by the
   folium map's script. */
(function () {
  "use strict";
  const { el, clear } = Atlas;
  const SHEET = "(max-width: 760px)";
  const ZOOMS = [2, 17];
  const FITTED = 15;
  // Edge of the tiles, in metres, that those zooms are for; smaller tiles are looked at closer.
  const USUAL_EDGE = 640;

  // Dates beside the one shown that are made ready; the data keep the codes of a dozen.
  const NEIGHBOURS = 10;

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
      this.classes = meta.classes.map((entry) => Object.assign({}, entry));
      this.places = meta.places;
      this.grid = new Atlas.Grid(meta.planes, meta.tile, meta.tileMark);
      this.closer = Math.max(0, Math.round(Math.log2(USUAL_EDGE / meta.tile)));
      this.placeOf = [];
      this.places.forEach((place, number) => place.planes.forEach((plane) => (this.placeOf[plane] = number)));
      this.layersAt = new Set(meta.layers.map((layer) => layer.date + " " + layer.plane));
      this.state = {
        mode: "map",
        place: -1,
        before: -1,
        after: meta.dates.length - 1,
        threshold: 0,
        fade: false,
        opacity: 0.86,
        shown: meta.classes.map(() => true),
        states: true,
        pair: null,
        base: "scene",
        where: "place",
        split: 0.5,
        blink: false,
        pinned: -1,
        theme: "auto",
        palette: "usual",
        labelling: false,
        product: "tiles",
      };
      this.parts = [];
      this.stats = {};
    }

    text(id) {
      return document.getElementById(id).textContent;
    }

    async load() {
      const bytes = await Atlas.inflate(Atlas.base64(this.text("atlas-core")));
      this.data = new Atlas.TileData(this.meta, this.grid, this.classes.length, bytes);
      this.buildLayers();
      this.open();
      for (const { make } of registered) {
        const part = make(this);
        if (!part) continue;
        this.parts.push(part);
        if (part.root) this.body.append(part.root);
      }
      this.map.on("moveend", () => this.lookAround());
      this.lookAround();
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

    /** The first view: one place, or all of them; parts may change it to what an address asks for. */
    open() {
      // Set as options: setMinZoom would start an animation that ends after the first view is set.
      [this.map.options.minZoom, this.map.options.maxZoom] = [0, ZOOMS[1] + this.closer];
      this.map.invalidateSize({ pan: false, animate: false });
      // Places all over the world must fit into a phone as well.
      this.map.options.minZoom = Math.max(0, Math.min(ZOOMS[0], this.map.getBoundsZoom(this.meta.bounds) - 0.5));
      if (this.places.length === 1) this.visit(0, true);
      else this.fit(this.meta.bounds, true);
      if (this.meta.mode !== "map" && this.places.length === 1) this.setMode(this.meta.mode);
    }

    buildShell() {
      const { meta } = this;
      this.tabs = el("div", { class: "tabs", role: "group", "aria-label": "Mode" });
      this.modes =
        meta.dates.length > 1
          ? [
              ["map", "Map"],
              ["swipe", "Swipe"],
              ["change", "Change"],
            ]
          : [];
      for (const [mode, name] of this.modes)
        this.tabs.append(
          el("button", { type: "button", "data-mode": mode, onclick: () => this.setMode(mode) }, name),
        );
      this.tools = el("div", { class: "tools", role: "toolbar", "aria-label": "Tools" });
      this.body = el("div", {
        class: "panel-body",
        tabindex: 0,
        role: "group",
        "aria-label": "About what is in view",
      });
      this.heading = el("h1", {}, meta.title);
      this.subtitle = el("p", {}, meta.subtitle);
      this.panel = el(
        "main",
        { class: "panel", id: "atlas-panel", "aria-label": "Land cover atlas" },
        el("button", {
          class: "grab",
          type: "button",
          "aria-label": "Resize the panel",
          onclick: () => this.resizeSheet(),
        }),
        el("header", {}, this.heading, this.subtitle, this.modes.length ? this.tabs : null),
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
      this.addHome();
      L.control.scale({ imperial: false }).addTo(this.map);
      this.map.attributionControl.setPrefix(
        '<a href="https://leafletjs.com" title="A JavaScript library for interactive maps">Leaflet</a>',
      );
      this.map.attributionControl.addAttribution(el("span", {}, meta.attribution).innerHTML);
    }

    addHome() {
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
                this.fit(this.meta.bounds);
              },
            },
            Atlas.icon("all"),
          ),
        );
        L.DomEvent.disableClickPropagation(box);
        return box;
      };
      home.addTo(this.map);
    }

    /** Fits bounds into what panel and timeline leave free; what would not fit loses the margins. */
    fit(bounds, still) {
      const size = this.map.getSize(),
        below = matchMedia(SHEET).matches ? Math.min(this.panel.offsetHeight + 24, size.y - 120) : 110,
        above = matchMedia(SHEET).matches ? 96 : 24,
        free = size.y - above - below > 60;
      this.map.fitBounds(bounds, {
        paddingTopLeft: free ? [16, above] : [0, 0],
        paddingBottomRight: free ? [16, below] : [0, 0],
        animate: !still,
        maxZoom: FITTED + this.closer,
      });
    }

    resizeSheet() {
      const { classList } = this.panel,
        next = classList.contains("sheet-max") ? "sheet-min" : classList.contains("sheet-min") ? "" : "sheet-max";
      classList.remove("sheet-min", "sheet-max");
      if (next) classList.add(next);
      document.body.dataset.sheet = next;
    }

    addTheme() {
      const system = matchMedia("(prefers-color-scheme: dark)"),
        root = document.documentElement;
      const button = Atlas.toolButton("moon", "", () => {
        this.state.theme = this.dark ? "light" : "dark";
        apply();
        this.update({});
      });
      const apply = () => {
        this.dark = this.state.theme === "auto" ? system.matches : this.state.theme === "dark";
        root.dataset.theme = this.dark ? "dark" : "light";
        clear(button, Atlas.icon(this.dark ? "sun" : "moon"));
        button.title = this.dark ? "Light colours" : "Dark colours";
        button.setAttribute("aria-label", button.title);
      };
      this.tools.append(button);
      system.addEventListener("change", apply);
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
          label: (tile, named) => Atlas.painting.label(this, side, tile, named),
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

    draw() {
      const began = performance.now(),
        { state } = this;
      this.drawHeader();
      document.body.dataset.mode = state.mode;
      if (state.mode === "change") Atlas.painting.paintChange(this);
      else Atlas.painting.paintClasses(this);
      this.drawPictures();
      this.showLayer("after", true);
      this.showLayer("before", state.mode === "swipe" && !state.blink);
      for (const part of this.parts) if (part.draw) part.draw(state);
      this.stats.draw = performance.now() - began;
      this.prepare();
    }

    /** Makes the place's dates next to the shown one ready while nothing else is to do: a step then only repaints. */
    prepare() {
      if (this.waiting) return;
      const later = window.requestIdleCallback || ((work) => setTimeout(work, 200));
      this.waiting = later(() => {
        this.waiting = 0;
        const { mode, after } = this.state,
          { painter } = this.layers.after.canvas;
        if (mode !== "map") return;
        const near = this.datesHere()
          .filter((date) => date !== after)
          .sort((a, b) => Math.abs(a - after) - Math.abs(b - after))
          .slice(0, NEIGHBOURS);
        if (near.some((date) => painter.prepare(this.data.codes(this.datesOf("after", date))))) this.prepare();
      });
    }

    drawHeader() {
      const { state, meta } = this,
        place = this.places[state.place];
      this.heading.textContent = place && this.places.length > 1 ? "Land cover " + place.name : meta.title;
      this.subtitle.textContent =
        place && this.places.length > 1
          ? (place.dates.length === 1 ? Atlas.day(meta.dates[place.dates[0]]) : place.dates.length + " dates") +
            " · " +
            place.ids.slice(0, 3).join(", ") +
            (place.ids.length > 3 ? " and " + (place.ids.length - 3) + " more" : "")
          : meta.subtitle;
      const possible = this.datesHere().length > 1 && this.pairsHere().length > 0;
      for (const button of this.tabs.children) {
        button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
        const off = button.dataset.mode !== "map" && !possible;
        button.setAttribute("aria-disabled", String(off));
        button.title = off ? this.whyNot() : "";
      }
    }

    showLayer(side, wanted) {
      const { canvas } = this.layers[side];
      if (!wanted) canvas.remove();
      else if (this.map.hasLayer(canvas)) canvas.repaint();
      else canvas.addTo(this.map);
    }

    /** Whether a tile shows as changed under the present filters. */
    isChanged(tile) {
      return Atlas.painting.isChanged(this, tile);
    }

    drawPictures() {
      const { state, meta } = this;
      for (const side of ["before", "after"]) {
        const wanted = state.base === "scene" && (side === "after" || (state.mode === "swipe" && !state.blink)),
          dates = this.datesOf(side),
          key = wanted ? dates.join() : "",
          layer = this.layers[side];
        if (layer.pictureKey === key) continue;
        layer.pictureKey = key;
        const shown = wanted
            ? meta.quicklooks.filter((one) => one.planes.some((plane) => dates[plane] === one.date))
            : [],
          kept = new Map(layer.pictures.map((picture) => [picture.element, picture]));
        layer.pictures = shown.map((one) => kept.get(one.element) || this.picture(side, one));
        for (const [element, picture] of kept) if (!shown.some((one) => one.element === element)) picture.remove();
      }
    }

    picture(side, { element, bounds }) {
      const picture = L.imageOverlay("data:image/webp;base64," + this.text(element), bounds, {
        pane: "atlas-" + side,
        zIndex: 0,
        alt: "",
        className: "atlas-picture",
      }).addTo(this.map);
      picture.element = element;
      return picture;
    }

    notice(text) {
      if (!this.noticeBox)
        this.container.append((this.noticeBox = el("div", { class: "notice", role: "status" })));
      clear(this.noticeBox, text);
      this.noticeBox.classList.add("on");
      clearTimeout(this.noticeTimer);
      this.noticeTimer = setTimeout(() => this.noticeBox.classList.remove("on"), 6000);
    }
  }

  Object.assign(Page.prototype, Atlas.looking);

  /** Builds the page on a Leaflet map; window.atlasReady turns true when the map is painted, window.atlasComplete
   * when all is decoded. */
  Atlas.start = function (map, meta) {
    Atlas.periods = meta.periods || {};
    const page = (window.atlas = new Page(map, meta));
    page.buildShell();
    page.load().catch((error) => {
      page.notice("This page's data could not be decoded: " + error.message + ". A current browser is needed.");
      throw error;
    });
  };
})();
