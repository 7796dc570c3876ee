/* Change between two dates: how much, how sure, from what to what. */
(function () {
  "use strict";
  const { el, link, section, swatch, number, hectares, share, day } = Atlas;
  const TOP = 6;

  Atlas.part(300, function (page) {
    const { data, classes, meta, map } = page,
      part = section("What changed", "change");
    const same = (a, b) => a && b && a[0] === b[0] && a[1] === b[1];
    const pick = (from, to) => page.update({ pair: same(page.state.pair, [from, to]) ? null : [from, to] });
    const short = (value) =>
      value < 9.95
        ? value.toFixed(1)
        : value < 999.5
          ? Math.round(value)
          : (value / 1000).toFixed(value < 9950 ? 1 : 0) + "k";

    function summary(sums) {
      const total = sums.changed + sums.undecided + sums.stable,
        rows = [
          ["changed", "Changed", sums.changed],
          ["undecided", "Undecided", sums.undecided],
          ["stable", "Stable", sums.stable],
        ];
      return [
        el(
          "div",
          { class: "verdicts", "aria-hidden": "true" },
          rows.map(([name, , value]) =>
            el("i", { class: name, style: { width: (100 * value) / (total || 1) + "%" } }),
          ),
        ),
        el(
          "dl",
          { class: "verdict-list" },
          rows.map(([name, title, value]) => [
            el("dt", {}, el("i", { class: "swatch " + name }), title),
            el("dd", {}, hectares(value)),
            el("dd", { class: "quiet" }, share(value, total)),
          ]),
        ),
      ];
    }

    /** How sure it is, in a sentence. */
    function verdict(sums) {
      const sources =
        sums.measured && sums.estimated
          ? "Chances come from the table of changes where it holds these dates, and are estimated cautiously " +
            "from the two answers elsewhere."
          : sums.measured
            ? "Chances come from the table of changes."
            : "No run has compared these two dates: chances are estimated cautiously from the two answers alone, " +
              "with " +
              share(data.expectedChange(page.state.before, page.state.after), 1) +
              " of tiles expected to change class between them. Run the pipeline on both scenes in one folder to " +
              "compare their pixels.";
      const sure = sums.changed
        ? "Of " +
          hectares(sums.changed) +
          " shown as changed, about " +
          hectares(sums.falseChanges) +
          " (" +
          share(sums.falseChanges, sums.changed) +
          ") are expected to be false. "
        : "No tile changed beyond doubt. ";
      return (
        sure +
        "On " +
        hectares(sums.differ) +
        " the two labels differ; that alone is not called change. " +
        sources
      );
    }

    function flowList(flows) {
      return el(
        "ol",
        { class: "flows" },
        flows.slice(0, TOP).map(([value, from, to, wrong]) =>
          el(
            "li",
            {},
            el(
              "button",
              {
                type: "button",
                "aria-pressed": String(Boolean(same(page.state.pair, [from, to]))),
                onclick: () => pick(from, to),
              },
              swatch(classes[from].colour),
              classes[from].short,
              el("span", { class: "quiet" }, from === to ? " inside the class" : " → "),
              from === to ? null : [swatch(classes[to].colour), classes[to].short],
              el("em", {}, hectares(value), el("small", {}, "about " + hectares(wrong) + " false")),
            ),
          ),
        ),
      );
    }

    /** What every class lost and gained; moves inside a class are neither. */
    function balance(sums) {
      const rows = classes
        .map((entry, k) => [entry, k])
        .filter(([, k]) => sums.lost[k] || sums.gained[k])
        .sort((a, b) => sums.lost[b[1]] - sums.lost[a[1]] || sums.gained[b[1]] - sums.gained[a[1]]);
      return el(
        "table",
        { class: "balance" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["Class", "lost ha", "gained ha", "net ha"].map((name) => el("th", { scope: "col" }, name)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map(([entry, k]) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, swatch(entry.colour), entry.short),
              el("td", {}, number(sums.lost[k])),
              el("td", {}, number(sums.gained[k])),
              el(
                "td",
                { class: sums.net[k] > 0 ? "more" : sums.net[k] < 0 ? "less" : "" },
                Atlas.signed(sums.net[k]),
              ),
            ),
          ),
        ),
      );
    }

    function matrixTable(matrix, most) {
      const count = classes.length,
        head = el(
          "tr",
          {},
          el("td"),
          classes.map((c) => el("th", { scope: "col", title: c.title }, c.letters)),
        );
      const rows = classes.map((from, i) =>
        el(
          "tr",
          {},
          el(
            "th",
            { scope: "row", title: from.title },
            el("i", { style: { background: from.colour } }),
            from.letters,
          ),
          classes.map((to, j) => {
            const value = matrix[i * count + j],
              text = from.title + " → " + to.title + ": " + hectares(value);
            if (!value) return el("td", { class: i === j ? "diagonal" : "" });
            return el(
              "td",
              {
                class: i === j ? "diagonal" : "",
                style: {
                  background: "rgba(var(--heat), " + (0.08 + 0.5 * Math.sqrt(value / most)).toFixed(2) + ")",
                },
              },
              el(
                "button",
                {
                  type: "button",
                  title: text,
                  "aria-label": text,
                  "aria-pressed": String(Boolean(same(page.state.pair, [i, j]))),
                  onclick: () => pick(i, j),
                },
                short(value),
              ),
            );
          }),
        ),
      );
      return el(
        "div",
        { class: "matrix-box" },
        el("table", { class: "matrix" }, el("thead", {}, head), el("tbody", {}, rows)),
      );
    }

    /** One line a flow, then what classes lost and gained. */
    function save(sums, flows) {
      const { state } = page,
        [from, to] = [state.before, state.after].map((date) => Atlas.isoDay(meta.dates[date])),
        place = [page.places[state.place].name, page.scope().name, from, to],
        head = [
          "place",
          "counted",
          "before",
          "after",
          "what",
          "from",
          "to",
          "hectares",
          "expected_false_hectares",
        ],
        cells = (value) => (value == null ? "" : value.toFixed(2));
      const line = (what, one, two, value, wrong) => [...place, what, one, two, cells(value), cells(wrong)];
      Atlas.csv("change-" + Atlas.fileName(place[0]) + "-" + from + "-to-" + to + ".csv", [
        head,
        ...flows.map(([value, a, b, wrong]) => line("changed", classes[a].label, classes[b].label, value, wrong)),
        ...classes.flatMap((entry, k) => [
          line("lost", entry.label, "", sums.lost[k]),
          line("gained", "", entry.label, sums.gained[k]),
          line("net", "", entry.label, sums.net[k]),
        ]),
        line("all changed", "", "", sums.changed, sums.falseChanges),
        ...["undecided", "stable"].map((name) => line(name, "", "", sums[name])),
        line("labels differ", "", "", sums.differ),
        line("left out", "", "", sums.left),
      ]);
    }

    function draw() {
      const { state } = page,
        count = classes.length;
      part.root.hidden = state.mode !== "change";
      if (part.root.hidden) return;
      if (!data.details) {
        Atlas.redraw(part.body, el("p", { class: "note" }, "Reading …"));
        return;
      }
      const sums = data.transitions(state.before, state.after, state.threshold, page.scope()),
        flows = [];
      let most = 0;
      sums.matrix.forEach((value, at) => {
        if (value) {
          most = Math.max(most, value);
          flows.push([value, Math.floor(at / count), at % count, sums.doubt[at]]);
        }
      });
      flows.sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2]);
      const moves = flows.filter(([, from, to]) => from !== to);
      part.remark.textContent = day(meta.dates[state.before]) + " → " + day(meta.dates[state.after]);
      Atlas.redraw(
        part.body,
        summary(sums),
        el(
          "p",
          { class: "note" },
          "Coloured tiles changed, in the colour of their later class; hatched ones are undecided, veiled " +
            "ones stable. ",
          verdict(sums),
        ),
        moves.length ? balance(sums) : null,
        moves.length ? Atlas.sankey(moves, classes, state.pair, pick) : null,
        flows.length
          ? [
              flowList(flows),
              el("h3", {}, "From, to", el("span", { class: "remark" }, "rows before, columns after, ha")),
              matrixTable(sums.matrix, most),
            ]
          : null,
        el(
          "p",
          { class: "note" },
          flows.length
            ? [
                "Select a flow or a cell to see only those tiles. ",
                state.pair ? [link("Clear the selection", () => page.update({ pair: null })), " · "] : null,
              ]
            : null,
          number(sums.left) +
            " ha left out for want of a class" +
            (state.threshold ? " or confidence" : "") +
            " at one date · ",
          link("CSV", () => save(sums, flows), "Save flows, losses and gains of this place"),
        ),
      );
    }
    map.on("moveend", () => {
      if (page.state.where === "view") draw();
    });
    return { root: part.root, draw };
  });
})();
