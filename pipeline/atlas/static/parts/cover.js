/* Cover: what lies inside the tiles, as pictures beside the tiles' classes, with legend, hectares and tiles' shares. */
(function () {
  "use strict";
  const { el, link, section, swatch, number, share } = Atlas;
  const NONE = 255;

  Atlas.part(395, function (page) {
    const { data, meta, map, grid } = page,
      { cover } = meta;
    if (!cover) return null;
    const part = section("Cover", "cover"),
      starts = new Map(),
      layers = { before: new Map(), after: new Map() };
    let bytes = null,
      at = 0;
    for (const layer of meta.layers) {
      const plane = grid.planes[layer.plane];
      starts.set(layer.date + " " + layer.plane, at);
      at += plane.rows * plane.cols * cover.classes.length;
    }
    Atlas.inflate(Atlas.base64(page.text("atlas-cover-shares"))).then((found) => {
      bytes = found;
      page.update({});
    });

    const choose = ["tiles", "cover"].map((product) =>
      el(
        "button",
        { type: "button", "data-product": product, onclick: () => page.update({ product }) },
        product === "tiles" ? "Tiles" : "Cover",
      ),
    );
    page.subtitle.after(el("div", { class: "tabs products", role: "group", "aria-label": "Product" }, choose));

    /** Percent of a tile by cover class, null where it has none. */
    function sharesOf(date, tile) {
      const plane = grid.where(tile).plane,
        start = starts.get(date + " " + plane.number);
      if (!bytes || start == null) return null;
      const size = plane.rows * plane.cols,
        own = cover.classes.map((_, k) => bytes[start + k * size + tile - plane.offset]);
      return own[0] === NONE ? null : own.map((step) => step * cover.step);
    }
    /** Tiles' worth of every cover class at a date in a scope; each place counts once. */
    function areas(date, { planes, weight }) {
      const sums = new Float64Array(cover.classes.length);
      for (const plane of planes) {
        const start = starts.get(date + " " + plane.number),
          size = plane.rows * plane.cols;
        if (start == null || !bytes) continue;
        for (let k = 0; k < size; k++) {
          const tile = plane.offset + k;
          if (bytes[start + k] === NONE || data.confidence[date][tile] & Atlas.COUNTED_ELSEWHERE) continue;
          const part_ = (weight ? weight[tile] : 1) * (cover.step / 100);
          for (let c = 0; c < sums.length; c++) sums[c] += bytes[start + c * size + k] * part_;
        }
      }
      return sums;
    }
    function areasShown() {
      const scope = page.scope(),
        { place } = page.state;
      if (place >= 0) return areas(page.state.after, scope);
      const sums = new Float64Array(cover.classes.length);
      page.places.forEach((_, n) =>
        areas(page.latest(n), { planes: page.planesHere(n), weight: scope.weight }).forEach(
          (v, c) => (sums[c] += v),
        ),
      );
      return sums;
    }
    function save() {
      const rows = [["place", "counted", "date", "cover", "hectares"]],
        scope = page.scope(),
        shown = page.state.place < 0 ? page.places.map((_, n) => n) : [page.state.place];
      for (const one of shown)
        for (const date of page.places[one].dates)
          areas(date, { planes: page.planesHere(one), weight: scope.weight }).forEach((value, c) =>
            rows.push([
              page.places[one].name,
              scope.name,
              Atlas.isoDay(meta.dates[date]),
              cover.classes[c].name,
              (value * data.hectares).toFixed(2),
            ]),
          );
      Atlas.csv("cover.csv", rows);
    }

    function legend() {
      const sums = areasShown(),
        total = sums.reduce((sum, value) => sum + value, 0),
        order = cover.classes.map((_, c) => c).sort((a, b) => sums[b] - sums[a]);
      Atlas.redraw(
        part.body,
        el(
          "table",
          { class: "legend" },
          el(
            "tbody",
            {},
            order.map((c) =>
              el(
                "tr",
                {},
                el("td", {}, swatch(cover.classes[c].colour)),
                el("td", {}, cover.classes[c].title),
                el("td", { class: "figure" }, number(sums[c] * data.hectares)),
                el("td", { class: "figure quiet" }, share(sums[c], total)),
              ),
            ),
          ),
        ),
        el(
          "p",
          { class: "note" },
          "Shares of the tiles' 10 m pixels, in ha; counted: " + page.scope().name + " · ",
          link("CSV", save, "Save the cover of all dates"),
        ),
      );
    }

    /** Bars of a tile's shares, and its part of the picture. */
    function inside(date, tile) {
      const own = sharesOf(date, tile);
      if (!own) return null;
      const shown = own
        .map((value, c) => [c, value])
        .filter(([, value]) => value > 0)
        .sort((a, b) => b[1] - a[1]);
      return el(
        "div",
        { class: "inside" },
        el("h3", {}, "Inside the tile", el("span", { class: "remark" }, "largest share " + shown[0][1] + " %")),
        el("div", { class: "pair" }, page.chips ? page.chips.picture(date, tile) : null, picture(date, tile)),
        el(
          "ul",
          { class: "bars", "aria-label": "Share of every cover" },
          shown.map(([c, value]) =>
            el(
              "li",
              {},
              el("span", {}, cover.classes[c].title),
              el("i", {}, el("b", { style: { width: value + "%", background: cover.classes[c].colour } })),
              el("em", {}, value + " %"),
            ),
          ),
        ),
      );
    }
    function picture(date, tile) {
      const plane = grid.where(tile).plane.number,
        [latitude, longitude] = grid.centre(tile),
        found = cover.pictures.find(
          (one) =>
            one.date === date &&
            one.planes.includes(plane) &&
            L.latLngBounds(one.bounds).contains([latitude, longitude]),
        );
      if (!found) return null;
      const canvas = el("canvas", {
          class: "chip",
          width: 96,
          height: 96,
          role: "img",
          "aria-label": "Cover of the tile",
        }),
        image = new Image();
      image.onload = () => {
        const [[south, west], [north, east]] = found.bounds,
          { mercatorY } = Atlas.projection,
          x = (value) => ((value - west) / (east - west)) * image.width,
          y = (value) =>
            ((mercatorY(value) - mercatorY(north)) / (mercatorY(south) - mercatorY(north))) * image.height,
          ring = grid.ring(tile),
          left = Math.min(...ring.map((p) => x(p[1]))),
          top = Math.min(...ring.map((p) => y(p[0]))),
          context = canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        const wide = Math.max(...ring.map((p) => x(p[1]))) - left,
          high = Math.max(...ring.map((p) => y(p[0]))) - top;
        context.drawImage(image, left, top, wide, high, 0, 0, 96, 96);
      };
      image.src = "data:image/webp;base64," + page.text(found.element);
      return canvas;
    }

    function showPictures(side, wanted) {
      const dates = page.datesOf(side),
        shown = wanted
          ? cover.pictures.filter((one) => one.planes.some((plane) => dates[plane] === one.date))
          : [];
      for (const [element, layer] of layers[side])
        if (!shown.some((one) => one.element === element)) {
          layer.remove();
          layers[side].delete(element);
        }
      for (const one of shown) {
        if (!layers[side].has(one.element))
          layers[side].set(
            one.element,
            L.imageOverlay("data:image/webp;base64," + page.text(one.element), one.bounds, {
              pane: "atlas-" + side,
              zIndex: 1,
              alt: "",
              className: "cover-picture",
            }).addTo(map),
          );
        layers[side].get(one.element).setOpacity(page.state.opacity);
      }
    }
    page.cover = { inside, of: sharesOf, pictures: layers };
    return {
      root: part.root,
      draw: (state) => {
        const on = page.showsCover();
        for (const button of choose) {
          button.setAttribute("aria-pressed", String((button.dataset.product === "cover") === on));
          button.setAttribute(
            "aria-disabled",
            String(state.mode === "change" && button.dataset.product === "cover"),
          );
        }
        showPictures("after", on);
        showPictures("before", on && state.mode === "swipe" && !state.blink);
        part.root.hidden = !on;
        document.body.dataset.product = on ? "cover" : "tiles";
        if (on) legend();
      },
    };
  });
})();
