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

    /** Dates of the same places as a date; a trend over other places would say nothing. */
    const placesOf = (date) =>
      meta.layers
        .filter((layer) => layer.date === date)
        .map((layer) => layer.plane)
        .join();
    const datesLike = (date) => meta.dates.map((_, d) => d).filter((d) => placesOf(d) === placesOf(date));

    function row(k, areas, before, most, total, series, current) {
      const { state } = page,
        entry = classes[k],
        on = state.shown[k],
        delta = before ? areas[k] - before[k] : 0;
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
        before
          ? el(
              "td",
              { class: "figure " + (delta > 0 ? "more" : delta < 0 ? "less" : "") },
              delta ? (delta > 0 ? "+" : "−") + number(Math.abs(delta) * data.hectares) : "0",
            )
          : el("td", { class: "figure quiet" }, share(areas[k], total)),
      );
    }

    function save() {
      const all = meta.dates.map((_, d) => data.areas(d, page.state.threshold));
      const line = (name, code) => [name].concat(all.map((areas) => (areas[code] * data.hectares).toFixed(2)));
      Atlas.csv("land-cover-areas.csv", [
        ["class"].concat(meta.dates.map((d) => d + " ha")),
        ...classes.map((c, k) => line(c.label, k)),
        ...states.map(([code, name]) => line(name.toLowerCase(), code)),
      ]);
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
        state.countView && map.getBounds().toBBoxString(),
      ].join();
      if (key === drawn) return; // a control that is rebuilt between press and release loses the click
      drawn = key;
      const inside = page.countMask(),
        compare = state.mode !== "map";
      const areas = data.areas(state.after, state.threshold, inside),
        before = compare ? data.areas(state.before, state.threshold, inside) : null;
      const alike = compare ? [] : datesLike(state.after),
        series = alike.length > 2 ? alike.map((d) => data.areas(d, state.threshold)) : null;
      let total = 0,
        most = 0;
      classes.forEach((_, k) => {
        total += areas[k];
        most = Math.max(most, areas[k]);
      });
      const order = classes.map((_, k) => k).sort((a, b) => areas[b] - areas[a] || a - b);
      part.remark.textContent = compare
        ? day(meta.dates[state.before]) + " → " + day(meta.dates[state.after])
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
            title: before ? "Difference of the two counts; Change tells what of it can be believed" : null,
          },
          before ? "difference" : "share",
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
            order.map((k) => row(k, areas, before, most, total, series, alike.indexOf(state.after))),
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
            (inside ? " in this view" : "") +
            " · ",
          link(every ? "hide all" : "show all", () => page.update({ shown: state.shown.map(() => !every) })),
          " · ",
          link(state.countView ? "whole map" : "count this view", () => page.update({ countView: !state.countView })),
          " · ",
          link("CSV", save, "Save the areas of all dates"),
        ),
      );
    };
    map.on("moveend", () => {
      if (page.state.countView) drawTable();
    });
    return { root: part.root, draw: drawTable };
  });
})();
