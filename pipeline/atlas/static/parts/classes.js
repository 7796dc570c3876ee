/* Classes: legend, filter, areas, shares and trend in one table; tile states below. */
(function () {
  "use strict";
  const { el, svg, link, section, number, share, day } = Atlas;

  function trend(values, current) {
    const top = Math.max(...values),
      bottom = Math.min(...values),
      span = top - bottom || 1;
    const at = (k) =>
      [2 + (38 * k) / (values.length - 1), 14 - (12 * (values[k] - bottom)) / span].map((v) => v.toFixed(1));
    return svg(
      "svg",
      { width: 42, height: 16, "aria-hidden": "true" },
      svg("polyline", { class: "trend", points: values.map((_, k) => at(k).join(",")).join(" ") }),
      svg("circle", { class: "trend-now", cx: at(current)[0], cy: at(current)[1], r: 2.4 }),
    );
  }

  Atlas.part(400, function (page) {
    const { data, classes, meta, map } = page,
      part = section("Classes", "classes");
    const states = [
      [Atlas.CLOUD, "Cloud"],
      [Atlas.UNCLASSIFIED, "Unclassified"],
      [Atlas.NO_DATA, "No data"],
    ];

    function row(k, areas, delta, most, total, series, current) {
      const { state } = page,
        entry = classes[k],
        on = state.shown[k];
      const toggle = () => page.update({ shown: state.shown.map((v, i) => (i === k ? !v : v)) });
      const alone = state.shown.every((v, i) => v === (i === k));
      const box = el(
        "button",
        {
          type: "button",
          role: "checkbox",
          class: "check",
          "aria-checked": String(on),
          "aria-label": "Show " + entry.title,
          "data-class": k,
          onclick: toggle,
          style: { background: on ? entry.colour : "", borderColor: on ? "" : entry.colour, color: entry.ink },
        },
        on ? "✓" : "",
      );
      const name = el(
        "button",
        {
          type: "button",
          class: "name",
          title: alone ? "Show all classes" : "Show only this class",
          onclick: () => page.update({ shown: state.shown.map((_, i) => alone || i === k) }),
        },
        series ? entry.short : entry.title,
        el("small", {}, entry.letters),
      );
      return el(
        "tr",
        { class: on ? "" : "off" },
        el("td", {}, box),
        el(
          "td",
          {},
          name,
          el(
            "div",
            { class: "bar" },
            el("i", { style: { width: (100 * areas[k]) / (most || 1) + "%", background: entry.colour } }),
          ),
        ),
        series
          ? el(
              "td",
              { class: "trend-cell" },
              trend(
                series.map((s) => s[k]),
                current,
              ),
            )
          : null,
        el("td", { class: "figure" }, number(areas[k] * data.hectares)),
        delta
          ? el(
              "td",
              { class: "figure " + (delta[k] > 0 ? "more" : delta[k] < 0 ? "less" : "") },
              Atlas.signed(delta[k] * data.hectares),
            )
          : el("td", { class: "figure quiet" }, share(areas[k], total)),
      );
    }

    /** One line a date and class, for the place and the part of it that is counted. */
    function save() {
      const scope = page.scope(),
        { place, threshold } = page.state,
        shown = place < 0 ? page.places.map((_, number) => number) : [place],
        rows = [["place", "counted", "date", "class", "hectares", "share"]];
      for (const one of shown) {
        const planes = page.planesHere(one);
        for (const date of page.places[one].dates) {
          const own = { key: scope.key + " of " + one, planes, weight: scope.weight },
            areas = data.areas(date, threshold, own),
            total = areas.reduce((sum, value) => sum + value, 0);
          const line = (name, code) =>
            rows.push([
              page.places[one].name,
              scope.name,
              Atlas.isoDay(meta.dates[date]),
              name,
              (areas[code] * data.hectares).toFixed(2),
              (areas[code] / (total || 1)).toFixed(4),
            ]);
          classes.forEach((entry, k) => line(entry.label, k));
          states.forEach(([code, name]) => line(name.toLowerCase(), code));
        }
      }
      Atlas.csv(
        "land-cover-" + (place < 0 ? "all-places" : Atlas.fileName(page.places[place].name)) + ".csv",
        rows,
      );
    }

    /** In Change what of the class changed for good or ill; in Swipe the difference of what the dates say. */
    function differences() {
      const { mode, before, after, threshold } = page.state,
        scope = page.scope();
      if (mode === "change" && data.details)
        return data.transitions(before, after, threshold, scope).net.map((value) => value / data.hectares);
      const both = data.compared(before, after, threshold, scope);
      return both.after.map((value, k) => value - both.before[k]);
    }

    let drawn = "";
    const drawTable = () => {
      const { state } = page;
      part.root.hidden = state.labelling;
      const key = [
        state.mode,
        state.before,
        state.after,
        state.threshold,
        state.shown,
        state.states,
        state.place,
        state.palette,
        Boolean(data.details),
        page.scope().key,
      ].join();
      if (key === drawn) return; // a control that is rebuilt between press and release loses the click
      drawn = key;
      const scope = page.scope(),
        compare = state.mode !== "map",
        areas = page.areas("after"),
        delta = compare ? differences() : null,
        alike = compare ? [] : page.datesHere(),
        series = alike.length > 2 ? alike.map((d) => data.areas(d, state.threshold, scope)) : null;
      let total = 0,
        most = 0;
      classes.forEach((_, k) => {
        total += areas[k];
        most = Math.max(most, areas[k]);
      });
      const order = classes.map((_, k) => k).sort((a, b) => areas[b] - areas[a] || a - b);
      part.remark.textContent = compare
        ? day(meta.dates[state.before]) + " → " + day(meta.dates[state.after])
        : state.place < 0
          ? "each place at its latest date"
          : day(meta.dates[state.after]);
      const head = el(
        "tr",
        {},
        el("th", { scope: "col" }, el("span", { class: "unseen" }, "Shown")),
        el("th", { scope: "col" }, el("span", { class: "unseen" }, "Class")),
        series ? el("th", { scope: "col" }, "trend") : null,
        el("th", { scope: "col", class: "figure" }, "ha"),
        el(
          "th",
          {
            scope: "col",
            class: "figure",
            title: !delta
              ? null
              : state.mode === "change"
                ? "Gained less lost, of the tiles that changed"
                : "Of tiles classed at both dates; Change tells what of it can be believed",
          },
          delta ? (state.mode === "change" ? "net" : "difference") : "share",
        ),
      );
      const without = states
        .filter(([code]) => areas[code])
        .map(([code, name]) =>
          el(
            "span",
            { class: "state" },
            el("i", { class: "swatch state-" + code }),
            name + " " + number(areas[code] * data.hectares) + " ha",
          ),
        );
      const every = state.shown.every(Boolean);
      Atlas.redraw(
        part.body,
        el(
          "table",
          { class: "legend" },
          el("thead", {}, head),
          el(
            "tbody",
            {},
            order.map((k) => row(k, areas, delta, most, total, series, alike.indexOf(state.after))),
          ),
        ),
        without.length
          ? el(
              "p",
              { class: "states" },
              without,
              link(
                state.states ? "hide" : "show",
                () => page.update({ states: !state.states }),
                "Draw tiles without a class",
              ),
            )
          : null,
        el(
          "p",
          { class: "note" },
          number((total * data.hectares) / 100, total * data.hectares < 1000 ? 1 : 0) +
            " km² counted" +
            (scope.name === "whole place" ? "" : " in " + scope.name) +
            " · ",
          link(every ? "hide all" : "show all", () => page.update({ shown: state.shown.map(() => !every) })),
          " · ",
          state.where === "place"
            ? link("count this view", () => page.update({ where: "view" }))
            : link("whole place", () => page.update({ where: "place" })),
          " · ",
          link("CSV", save, "Save the areas of all dates of this place"),
        ),
      );
    };
    map.on("moveend", () => {
      if (page.state.where === "view") drawTable();
    });
    return { root: part.root, draw: drawTable };
  });
})();
