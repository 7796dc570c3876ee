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
            : "For these two dates there is no table of changes: chances are estimated cautiously from the " +
              "two answers, with " +
              (100 * meta.changePrior).toFixed(0) +
              " % change expected beforehand.";
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
        sure + "On " + hectares(sums.differ) + " the two labels differ; that alone is not called change. " + sources
      );
    }

    function flowList(flows) {
      return el(
        "ol",
        { class: "flows" },
        flows.slice(0, TOP).map(([value, from, to]) =>
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
              el("em", {}, hectares(value)),
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
                style: { background: "rgba(var(--heat), " + (0.08 + 0.5 * Math.sqrt(value / most)).toFixed(2) + ")" },
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

    function save(sums) {
      const count = classes.length,
        { state } = page,
        dates = [meta.dates[state.before], meta.dates[state.after]];
      const rows = [
        ["changed hectares, rows " + dates[0] + ", columns " + dates[1]].concat(classes.map((c) => c.label)),
      ];
      classes.forEach((c, i) =>
        rows.push([c.label].concat(classes.map((_, j) => sums.matrix[i * count + j].toFixed(2)))),
      );
      for (const name of ["changed", "undecided", "stable", "falseChanges", "differ"])
        rows.push([
          { falseChanges: "expected false among changed", differ: "labels differ" }[name] || name,
          sums[name].toFixed(2),
        ]);
      Atlas.csv("land-cover-change-" + dates.join("-to-") + ".csv", rows);
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
      const sums = data.transitions(state.before, state.after, state.threshold, page.countMask()),
        flows = [];
      let most = 0;
      sums.matrix.forEach((value, at) => {
        if (value) {
          most = Math.max(most, value);
          flows.push([value, Math.floor(at / count), at % count]);
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
          number(sums.lost) +
            " ha left out for want of a class" +
            (state.threshold ? " or confidence" : "") +
            " at one date · ",
          link("CSV", () => save(sums), "Save the table of changed hectares"),
        ),
      );
    }
    map.on("moveend", () => {
      if (page.state.countView) draw();
    });
    return { root: part.root, draw };
  });
})();
