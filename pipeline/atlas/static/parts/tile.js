/* The tile card: what is known of the tile under the mouse; a click keeps it. */
(function () {
  "use strict";
  const { el, clear, section, swatch, day, degrees, number } = Atlas;

  Atlas.part(200, function (page) {
    const { data, classes, meta, map, grid, container } = page,
      part = section("Tile", "card");
    const tip = el("div", { class: "tip", "aria-hidden": "true" });
    container.append(tip);
    const casing = L.polygon([], { color: "#fff", weight: 4, fill: false, interactive: false }).addTo(map);
    const outline = L.polygon([], { color: "#111", weight: 2, fill: false, interactive: false }).addTo(map);
    let shown = null,
      hovered = -1;

    function ring(tile, kept) {
      const corners = tile >= 0 ? grid.ring(tile) : [];
      casing.setLatLngs(corners).setStyle({ weight: kept ? 6 : 4 });
      outline.setLatLngs(corners).setStyle({ weight: kept ? 3 : 2 });
    }
    /** The side that stands under a point of the map. */
    const sideAt = (point) =>
      page.state.mode === "swipe" && !page.state.blink && point.x < page.state.split * map.getSize().x
        ? "before"
        : "after";
    const nameOf = (code) =>
      code < classes.length
        ? classes[code].title
        : { [Atlas.CLOUD]: "Cloud", [Atlas.UNCLASSIFIED]: "Unclassified", [Atlas.NO_DATA]: "No data" }[code] ||
          "Not covered";
    const swatchOf = (code) =>
      code < classes.length ? swatch(classes[code].colour) : el("i", { class: "swatch state-" + code });
    const percent = (date, tile) => data.confidence[date][tile] & Atlas.PERCENT;

    /** What is known of a tile's change between the two dates shown; in Map between a date and the one before it. */
    function changeOf(tile, date) {
      const { state } = page;
      if (!data.details || meta.dates.length < 2) return null;
      const after = state.mode === "map" ? date : state.after,
        before = state.mode === "map" ? page.previousDate(date) : state.before;
      if (before < 0 || before >= after || !page.planesHere().includes(grid.where(tile).plane)) return null;
      const change = data.change(before, after);
      if (change.state[tile] === Atlas.UNKNOWN) return null;
      return {
        verdict: ["stable", "undecided", "changed"][change.state[tile]],
        percent: change.percent[tile],
        before,
        after,
        pair: change.pairs.find(
          (p) => tile >= p.plane.offset && tile < p.plane.offset + p.plane.rows * p.plane.cols,
        ),
        tile,
      };
    }

    function rows(date, tile) {
      const [latitude, longitude] = grid.centre(tile),
        { details } = data,
        found = [],
        code = data.classes[date][tile];
      const runner = details && details.runnerUp[date][tile];
      if (details && code < classes.length && runner < classes.length && !page.shares)
        found.push(["Runner-up", classes[runner].title + ", " + details.runnerUpConfidence[date][tile] + " %"]);
      const change = changeOf(tile, date);
      if (change) found.push(["Change since " + day(meta.dates[change.before]), evidence(change)]);
      if (details) {
        const known = (value) => (value === 255 ? "unknown" : value + " %");
        found.push(
          ["Valid pixels", known(details.valid[date][tile])],
          ["Cloud", known(details.cloud[date][tile])],
        );
      }
      found.push(
        ["Centre", degrees(latitude, longitude)],
        ["Area", number(data.hectares, 2) + " ha"],
        ["Tile id", grid.id(tile)],
        ["Scene", meta.scenes[data.sceneOf(date, tile)].id],
      );
      return el(
        "dl",
        {},
        found.map(([name, value]) => [
          el("dt", {}, name),
          el("dd", typeof value === "string" ? { title: value } : {}, value),
        ]),
      );
    }

    /** Where in the tile the change is that the card tells of. */
    function heat(date, tile) {
      const change = page.heat ? changeOf(tile, date) : null;
      return change ? page.heat.inside(change.before, change.after, tile) : null;
    }

    /** The chance of change, and its two kinds of evidence as parts of it. */
    function evidence(change) {
      const at = change.pair ? change.tile - change.pair.plane.offset : 0,
        kinds = [
          ["looks different", change.pair && change.pair.vector],
          ["its class changed", change.pair && change.pair.label],
        ].filter(([, values]) => values && values[at] !== 255);
      return [
        change.verdict + ", " + change.percent + " %",
        kinds.length
          ? el("small", {}, "of it: " + kinds.map(([name, values]) => name + " " + values[at] + " %").join(", "))
          : null,
      ];
    }

    function history(date, tile) {
      if (meta.dates.length < 2) return null;
      const dates = meta.dates.map((_, d) => d).filter((d) => data.exists(d, tile)),
        cells = dates.map((d) => {
          const code = data.classes[d][tile],
            entry = classes[code],
            text = day(meta.dates[d]) + ": " + nameOf(code) + (entry ? ", " + percent(d, tile) + " %" : "");
          return el(
            "button",
            {
              type: "button",
              class: d === date ? "now" : "",
              title: text,
              "aria-label": text,
              onclick: () => page.showDate(d),
            },
            page.chips ? page.chips.picture(d, tile) : null,
            el(
              "i",
              {
                class: entry ? "" : "state-" + code,
                style: entry ? { background: entry.colour, color: entry.ink } : {},
              },
              entry ? entry.letters : "–",
            ),
            el("small", {}, dates.length <= 6 ? meta.dates[d].slice(2, 7) : ""),
          );
        });
      return el("div", { class: "history" + (dates.length > 6 ? " many" : "") }, cells);
    }

    function card(tile, date) {
      if (tile < 0) {
        part.remark.textContent = "";
        Atlas.redraw(
          part.body,
          el(
            "p",
            { class: "note" },
            (L.Browser.mobile
              ? "Tap a tile to read it."
              : "Point at the map to read a tile, click to keep it here.") +
              " Zoom in to see a label on every tile.",
          ),
        );
        return;
      }
      const code = data.classes[date][tile];
      part.remark.textContent = (page.state.pinned >= 0 ? "kept · " : "") + day(meta.dates[date]);
      Atlas.redraw(
        part.body,
        el(
          "p",
          { class: "answer" },
          swatchOf(code),
          el("b", {}, nameOf(code)),
          code < classes.length ? el("span", {}, percent(date, tile) + " % confidence") : null,
        ),
        meta.dates.length < 2 && page.chips ? page.chips.picture(date, tile) : null,
        page.shares ? page.shares.bars(date, tile) : null,
        page.cover ? page.cover.inside(date, tile) : null,
        heat(date, tile),
        history(date, tile),
        rows(date, tile),
      );
    }

    function tipText(tile, date) {
      const code = data.classes[date][tile],
        change = page.state.mode === "change" ? changeOf(tile, date) : null;
      const sure = code < classes.length ? el("span", {}, " " + percent(date, tile) + " %") : null;
      if (!change) return [swatchOf(code), el("b", {}, nameOf(code)), sure];
      const from = data.classes[page.state.before][tile];
      if (from === code)
        return [
          swatchOf(code),
          el("b", {}, nameOf(code)),
          el("span", {}, " " + change.verdict + ", chance of change " + change.percent + " %"),
        ];
      return [
        swatchOf(from),
        nameOf(from),
        " → ",
        swatchOf(code),
        el("b", {}, nameOf(code)),
        el("br"),
        el("span", {}, change.verdict + ", chance of change " + change.percent + " %"),
      ];
    }

    const find = (latlng, side) => {
      const dates = page.datesOf(side);
      return grid.at(
        latlng.lat,
        latlng.lng,
        (tile, plane) => dates[plane] >= 0 && data.exists(dates[plane], tile),
      );
    };
    const hideTip = () => {
      tip.classList.remove("on");
    };
    function hover(event) {
      if (page.state.labelling) return;
      const began = performance.now(),
        side = sideAt(event.containerPoint),
        tile = find(event.latlng, side),
        date = tile < 0 ? -1 : page.dateAt(side, tile),
        size = map.getSize(),
        point = event.containerPoint;
      const key = tile + "," + date + "," + page.state.mode;
      hovered = tile;
      if (tile < 0) {
        hideTip();
        if (page.state.pinned < 0 && shown !== key) {
          ring(-1);
          card(-1);
        }
        shown = key;
        return;
      }
      tip.classList.add("on");
      const flip = point.x > size.x - 250;
      Object.assign(tip.style, {
        left: flip ? "" : point.x + 14 + "px",
        right: flip ? size.x - point.x + 14 + "px" : "",
        top: Math.min(point.y + 14, size.y - 64) + "px",
      });
      if (key !== shown) {
        shown = key;
        clear(tip, tipText(tile, date));
        if (page.state.pinned < 0) {
          ring(tile);
          card(tile, date);
        }
      }
      page.stats.hover = performance.now() - began;
    }
    function pin(tile, side = "after") {
      const next = tile === page.state.pinned ? -1 : tile;
      page.state.pinned = next;
      if (next >= 0) {
        const date = page.dateAt(side, tile),
          code = date < 0 ? Atlas.OUTSIDE : data.classes[date][tile];
        Atlas.announce(nameOf(code) + (code < classes.length ? ", " + percent(date, tile) + " % confidence" : ""));
      }
      page.update({});
    }
    page.release = () => {
      hovered = -1;
      page.update({ pinned: -1 });
    };
    map.on("mousemove", hover);
    map.on("mouseout", hideTip);
    map.on("click", (event) => {
      if (page.state.labelling || page.isDrawing()) return;
      const side = sideAt(event.containerPoint);
      pin(find(event.latlng, side), side);
    });
    page.pin = pin;
    page.outlineTile = (tile) => ring(tile, tile >= 0);
    page.findTile = find;

    return {
      root: part.root,
      draw: (state) => {
        const kept = page.state.pinned >= 0,
          tile = kept ? page.state.pinned : hovered;
        shown = null;
        part.root.hidden = state.labelling;
        if (state.labelling) {
          hideTip();
          return;
        }
        ring(tile, kept);
        const date = tile < 0 ? -1 : page.dateAt("after", tile);
        if (tile < 0) card(-1);
        else
          card(
            tile,
            date >= 0 && data.exists(date, tile) ? date : meta.dates.findIndex((_, d) => data.exists(d, tile)),
          );
      },
    };
  });
})();
