/* A Sankey diagram of changed hectares: classes before at the left, after at the right. */
(function () {
  "use strict";
  const { svg } = Atlas;
  const WIDTH = 328,
    HEIGHT = 210,
    NODE = 9,
    GAP = 3,
    MARGIN = 70;

  /** flows: [hectares, from, to]; selected: [from, to] or null; pick(from, to) is called on a click. */
  Atlas.sankey = function (flows, classes, selected, pick) {
    const total = flows.reduce((sum, flow) => sum + flow[0], 0),
      out = new Float64Array(classes.length),
      into = new Float64Array(classes.length);
    for (const [value, from, to] of flows) {
      out[from] += value;
      into[to] += value;
    }
    const order = classes.map((_, k) => k).sort((a, b) => out[b] + into[b] - out[a] - into[a] || a - b),
      rank = [];
    order.forEach((k, at) => {
      rank[k] = at;
    });

    function place(sums) {
      const present = order.filter((k) => sums[k] > 0),
        scale = (HEIGHT - GAP * (present.length - 1)) / (total || 1),
        nodes = new Map();
      let y = 0;
      for (const k of present) {
        nodes.set(k, { y, height: sums[k] * scale, used: 0, scale });
        y += sums[k] * scale + GAP;
      }
      return nodes;
    }
    const left = place(out),
      right = place(into),
      x0 = MARGIN + NODE,
      x1 = WIDTH - MARGIN - NODE,
      middle = (x0 + x1) / 2;
    const is = (from, to) => selected && selected[0] === from && selected[1] === to;
    const ribbons = flows
      .slice()
      .sort((a, b) => rank[a[1]] - rank[b[1]] || rank[a[2]] - rank[b[2]])
      .map(([value, from, to]) => {
        const a = left.get(from),
          b = right.get(to),
          ya = a.y + a.used,
          yb = b.y + b.used,
          ha = value * a.scale,
          hb = value * b.scale;
        a.used += ha;
        b.used += hb;
        const f = (v) => v.toFixed(1);
        const there = `M${x0},${f(ya)} C${middle},${f(ya)} ${middle},${f(yb)} ${x1},${f(yb)}`;
        const back = `L${x1},${f(yb + hb)} C${middle},${f(yb + hb)} ${middle},${f(ya + ha)} ${x0},${f(ya + ha)}Z`;
        const path = `${there} ${back}`;
        return svg(
          "path",
          {
            d: path,
            fill: classes[to].colour,
            "fill-opacity": selected ? (is(from, to) ? 0.95 : 0.15) : 0.62,
            class: "flow",
            onclick: () => pick(from, to),
          },
          svg("title", {}, classes[from].title + " → " + classes[to].title + ": " + Atlas.hectares(value)),
        );
      });
    const nodes = [
      [left, MARGIN, "end", -4],
      [right, x1, "start", NODE + 4],
    ].flatMap(([side, x, anchor, shift]) =>
      [...side].flatMap(([k, node]) => [
        svg("rect", {
          x,
          y: node.y,
          width: NODE,
          height: Math.max(1, node.height),
          fill: classes[k].colour,
          class: "node",
        }),
        node.height > 8
          ? svg(
              "text",
              { x: x + shift, y: node.y + node.height / 2 + 3.5, "text-anchor": anchor },
              classes[k].short,
            )
          : null,
      ]),
    );
    return svg(
      "svg",
      {
        class: "sankey",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": "Flows between classes; the list below says the same",
      },
      ribbons,
      nodes,
    );
  };
})();
