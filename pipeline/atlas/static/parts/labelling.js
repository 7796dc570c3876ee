/* Labelling: a person says what the tiles, or the cover's pixels, of a random sample are, unseen by the map. */
(function () {
  "use strict";
  const { el, link, section, swatch, number, day } = Atlas;
  const KEYS = "1234567890abcdefghijklmnopqrstuvwxyz",
    ZOOM = 14,
    PIXEL_ZOOM = 17,
    UNSURE = "cannot tell";

  /** Rows of a CSV as objects by column name; quoted cells may hold commas and doubled quotes. */
  function parseCsv(text) {
    const rows = [[""]];
    let quoted = false;
    for (let k = 0; k < text.length; k++) {
      const c = text[k],
        row = rows[rows.length - 1];
      if (quoted && c === '"' && text[k + 1] === '"') {
        row[row.length - 1] += '"';
        k++;
      } else if (c === '"') quoted = !quoted;
      else if (c === "," && !quoted) row.push("");
      else if (c === "\n" && !quoted) rows.push([""]);
      else if (c !== "\r" || quoted) row[row.length - 1] += c;
    }
    const [head, ...body] = rows.filter((row) => row.length > 1 || row[0] !== "");
    return (body || []).map((row) =>
      Object.fromEntries((head || []).map((name, k) => [name.replace(/^\ufeff/, "").trim(), row[k] || ""])),
    );
  }
  Atlas.parseCsv = parseCsv;

  /** A short number for a text, to tell samples apart in the browser's store. */
  const hash = (text) =>
    [...text].reduce((sum, c) => (Math.imul(sum, 31) + c.codePointAt(0)) >>> 0, 7).toString(36);

  Atlas.part(900, function (page) {
    const { map, grid, data, classes, meta } = page,
      part = section("Check this map", "labelling");
    let sample = [],
      at = 0,
      unsaved = false,
      shown = null;
    const current = () => sample[at];
    // Pixels are asked for by the cover's classes, tiles by the map's.
    const asked = () =>
      current().pixel ? page.meta.cover.classes.map((one) => ({ ...one, label: one.name })) : classes;
    const outline = L.polygon([], {
      pane: "tooltipPane",
      interactive: false,
      fill: false,
      color: "#d00c37",
      weight: 2,
    });

    // Answers survive a reload where the browser keeps a store for this file.
    const store = {
      key: () => "atlas-labels-" + hash(sample.map(({ row }) => row.tile_id + row.date).join()),
      keep() {
        try {
          const answers = sample.map(({ row }) => [row.label || "", row.remark || ""]);
          localStorage.setItem(this.key(), JSON.stringify(answers));
        } catch (error) {
          // Without a store the answers live as long as the page; leaving it asks first.
        }
      },
      restore() {
        try {
          const answers = JSON.parse(localStorage.getItem(this.key()) || "[]");
          answers.forEach(([label, remark], k) => {
            const { row } = sample[k];
            if (!row.label) row.label = label;
            if (!row.remark) row.remark = remark;
          });
          return answers.some(([label, remark]) => label || remark);
        } catch (error) {
          return false;
        }
      },
    };

    /** The sample's own date where the tile was seen then, else the latest at which it was. */
    function dateOf(row, tile) {
      const wanted = meta.dates.indexOf(row.date),
        seen = meta.dates.map((_, d) => d).filter((d) => data.exists(d, tile));
      return seen.includes(wanted) ? wanted : seen[seen.length - 1];
    }
    function open(text) {
      const known = parseCsv(text)
        .filter((row) => row.tile_id)
        .map((row) => {
          const pixel = meta.cover ? grid.pixelById(row.tile_id) : null;
          return { row, pixel, tile: pixel ? pixel.tile : grid.byId(row.tile_id) };
        })
        .filter(({ tile }) => tile >= 0 && meta.dates.some((_, d) => data.exists(d, tile)))
        .map((entry) => ({ ...entry, date: dateOf(entry.row, entry.tile) }));
      if (!known.length) {
        page.notice("No tile or pixel of this map is named in the column tile_id of that file.");
        return;
      }
      sample = known;
      unsaved = store.restore();
      at = Math.max(
        0,
        sample.findIndex(({ row }) => !answered(row)),
      );
      page.update({ mode: "map", blink: false, labelling: true, pinned: -1 });
      show();
    }
    const answered = (row) => row.label || row.remark === UNSURE;
    function show() {
      const { tile, pixel, date } = current(),
        place = page.placeOf[grid.where(tile).plane.number];
      page.state.place = place;
      if (pixel) map.setView(pixel.centre, PIXEL_ZOOM, { animate: false });
      else map.setView(grid.centre(tile), ZOOM, { animate: false });
      page.update({ after: date });
    }
    function step(by) {
      at = Math.max(0, Math.min(sample.length - 1, at + by));
      show();
    }
    function say(label, remark) {
      Object.assign(current().row, { label, remark: remark || "" });
      unsaved = true;
      store.keep();
      Atlas.announce(label || remark);
      step(1);
    }
    function save() {
      const columns = [...new Set([...Object.keys(sample[0].row), "label", "remark"])];
      Atlas.csv("labels-" + meta.dates[current().date] + ".csv", [
        columns,
        ...sample.map(({ row }) => columns.map((name) => row[name] || "")),
      ]);
      unsaved = false;
    }
    function leave() {
      page.outlineTile(-1);
      outline.remove();
      page.update({ labelling: false });
      page.lookAround();
    }

    function drawStart() {
      const input = el("input", {
        type: "file",
        accept: ".csv,text/csv",
        class: "unseen",
        tabindex: -1,
        "aria-label": "CSV file of a sample",
        onchange: async () => {
          if (input.files.length) open(await input.files[0].text());
          input.value = "";
        },
      });
      Atlas.redraw(
        part.body,
        el(
          "p",
          { class: "note" },
          "How right is this map here? Draw a random sample with ",
          el("code", {}, "python -m pipeline sample" + (meta.cover ? " (--product cover for pixels)" : "")),
          ", say what each of its tiles is, save the answers, and give them to ",
          el("code", {}, "python -m pipeline assess"),
          ". While you answer, the map's own classes are hidden; answers are kept in this browser.",
        ),
        input,
        el(
          "p",
          {},
          el("button", { type: "button", class: "plain", onclick: () => input.click() }, "Open a sample …"),
          sample.length ? [" ", el("button", { type: "button", class: "plain", onclick: resume }, "Go on")] : null,
        ),
      );
      part.remark.textContent = "";
    }
    function resume() {
      page.update({ mode: "map", labelling: true, pinned: -1 });
      show();
    }
    function drawQuestion() {
      const { row, tile, pixel, date } = current(),
        done = sample.filter((entry) => answered(entry.row)).length,
        picture = page.chips && !pixel ? page.chips.picture(date, tile) : null;
      if (picture) picture.classList.add("large");
      part.remark.textContent = done + " of " + sample.length + " answered";
      const answer = (key, colour, title, pressed, onclick) =>
        el(
          "button",
          { type: "button", "data-key": "answer " + title, "aria-pressed": String(pressed), onclick },
          el("kbd", {}, key),
          swatch(colour),
          title,
        );
      Atlas.redraw(
        part.body,
        el("progress", { max: sample.length, value: done, "aria-label": (pixel ? "Pixels" : "Tiles") + " answered" }),
        picture,
        el(
          "p",
          { class: "note" },
          (pixel ? "Pixel " : "Tile ") +
            number(at + 1) +
            " of " +
            number(sample.length) +
            ", " +
            day(meta.dates[date]) +
            (pixel
              ? ": what covers the outlined " + number(pixel.gsd) + " m? Look at the spot itself in a sharp picture."
              : ": what covers most of the outlined square?"),
        ),
        el(
          "div",
          { class: "answers" },
          asked().map((entry, k) =>
            answer(KEYS[k] || "", entry.colour, entry.title, row.label === entry.label, () => say(entry.label)),
          ),
          answer("?", "transparent", "Cannot tell", row.remark === UNSURE, () => say("", UNSURE)),
        ),
        el(
          "p",
          { class: "note" },
          link("back", () => step(-1), "Backspace"),
          " · ",
          link("skip", () => step(1), "Space; an answer stays as it is"),
          " · ",
          link("save CSV", save),
          " · ",
          link("leave", leave),
        ),
      );
    }
    document.addEventListener(
      "keydown",
      (event) => {
        if (!page.state.labelling || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.target.closest("button") && (event.key === " " || event.key === "Enter")) return;
        const k = KEYS.indexOf(event.key);
        if (k >= 0 && k < asked().length) say(asked()[k].label);
        else if (event.key === "?") say("", UNSURE);
        else if (event.key === "Backspace") step(-1);
        else if (event.key === " ") step(1);
        else if (event.key === "Escape") leave();
        else return;
        event.preventDefault();
        event.stopImmediatePropagation();
      },
      true,
    );
    addEventListener("beforeunload", (event) => {
      if (unsaved) event.preventDefault();
    });
    return {
      root: part.root,
      draw: (state) => {
        part.heading.textContent = state.labelling ? "What is it?" : "Check this map";
        const key = state.labelling
          ? [at, Boolean(page.chips && page.chips.places), current().row.label, current().row.remark].join()
          : "start";
        if (key !== shown) {
          if (state.labelling) drawQuestion();
          else drawStart();
        }
        shown = key;
        if (!state.labelling) return;
        const { tile, pixel } = current();
        page.outlineTile(pixel ? -1 : tile);
        if (pixel) outline.setLatLngs(pixel.ring).addTo(map);
        else outline.remove();
      },
    };
  });
})();
