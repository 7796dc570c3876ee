/* Labelling: a person says what the tiles of a random sample are, without seeing the map's answers. */
(function () {
  "use strict";
  const { el, link, section, swatch, number } = Atlas;
  const KEYS = "1234567890abcdefghijklmnopqrstuvwxyz",
    ZOOM = 14;

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

  Atlas.part(900, function (page) {
    const { map, grid, data, classes, meta } = page,
      part = section("Check this map", "labelling");
    let sample = [],
      at = 0,
      unsaved = false;

    const current = () => sample[at];
    function open(text) {
      const known = parseCsv(text)
        .filter((row) => row.tile_id)
        .map((row) => ({ row, tile: grid.byId(row.tile_id) }))
        .filter(({ tile }) => tile >= 0);
      if (!known.length) {
        page.notice("No tile of this map is named in the column tile_id of that file.");
        return;
      }
      sample = known;
      at = Math.max(
        0,
        sample.findIndex(({ row }) => !row.label),
      );
      page.setMode("map");
      page.update({ labelling: true, pinned: -1 });
      show();
    }
    function show() {
      const { tile } = current();
      map.setView(grid.centre(tile), ZOOM, { animate: false });
      page.outlineTile(tile);
      page.update({});
    }
    function step(by) {
      at = Math.max(0, Math.min(sample.length - 1, at + by));
      show();
    }
    function say(label) {
      current().row.label = label;
      unsaved = true;
      Atlas.announce(label || "no label");
      step(1);
    }
    function save() {
      const columns = Object.keys(sample[0].row);
      if (!columns.includes("label")) columns.push("label");
      Atlas.csv("labels-" + meta.dates[page.state.after] + ".csv", [
        columns,
        ...sample.map(({ row }) => columns.map((name) => row[name] || "")),
      ]);
      unsaved = false;
    }
    function leave() {
      if (unsaved && !confirm("The labels are not saved as CSV yet. Leave them?")) return;
      unsaved = false;
      page.outlineTile(-1);
      page.update({ labelling: false });
    }

    function drawSteps() {
      const input = el("input", {
        type: "file",
        accept: ".csv,text/csv",
        class: "unseen",
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
          el("code", {}, "python -m pipeline sample"),
          ", say what each of its tiles is, save the answers, and give them to ",
          el("code", {}, "python -m pipeline assess"),
          ". While you answer, the map's own classes are hidden.",
        ),
        input,
        el(
          "p",
          {},
          el("button", { type: "button", class: "plain", onclick: () => input.click() }, "Open a sample …"),
        ),
      );
      part.remark.textContent = "";
    }
    function drawQuestion() {
      const { row, tile } = current(),
        done = sample.filter((entry) => entry.row.label).length,
        date = page.state.after;
      part.remark.textContent = done + " of " + sample.length + " labelled";
      Atlas.redraw(
        part.body,
        el("p", { class: "note" }, "Tile " + number(at + 1) + ": what covers most of the outlined square?"),
        page.chips ? page.chips.picture(date, tile) : null,
        el(
          "div",
          { class: "answers" },
          classes.map((entry, k) =>
            el(
              "button",
              { type: "button", "aria-pressed": String(row.label === entry.label), onclick: () => say(entry.label) },
              el("kbd", {}, KEYS[k] || ""),
              swatch(entry.colour),
              entry.title,
            ),
          ),
        ),
        el(
          "p",
          { class: "note" },
          link("back", () => step(-1)),
          " · ",
          link("skip", () => say("")),
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
        const k = KEYS.indexOf(event.key);
        if (k >= 0 && k < classes.length) say(classes[k].label);
        else if (event.key === "Backspace") step(-1);
        else if (event.key === " ") say("");
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
        if (state.labelling) drawQuestion();
        else drawSteps();
        if (state.labelling && data.dates.length) page.outlineTile(current().tile);
      },
    };
  });
})();
