/* Confidence: histogram, one limit, fading. */
(function () {
  "use strict";
  const { el, svg, clear, section } = Atlas;

  Atlas.part(500, function (page) {
    const { data } = page,
      part = section("Confidence", "confidence"),
      chart = svg("svg", {
        class: "histogram",
        viewBox: "0 0 101 30",
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      });
    const slider = el("input", {
      type: "range",
      min: 0,
      max: 99,
      "aria-label": "Smallest confidence shown, percent",
      oninput: () => page.update({ threshold: Number(slider.value) }),
    });
    const fade = el("input", { type: "checkbox", onchange: () => page.update({ fade: fade.checked }) });
    part.body.append(chart, slider, el("label", { class: "row" }, fade, "Fade uncertain tiles"));
    return {
      root: part.root,
      draw: (state) => {
        part.root.hidden = state.labelling || state.place < 0;
        if (part.root.hidden) return;
        const counts = data.histogram(state.after, page.scope()),
          most = Math.sqrt(Math.max(...counts, 1));
        let all = 0,
          kept = 0;
        counts.forEach((v, p) => {
          all += v;
          if (p >= state.threshold) kept += v;
        });
        clear(
          chart,
          [...counts].map((v, p) => {
            const h = (28 * Math.sqrt(v)) / most;
            return svg("rect", {
              x: p + 0.08,
              y: 30 - h,
              width: 0.84,
              height: h,
              class: p < state.threshold ? "out" : "",
            });
          }),
        );
        slider.value = state.threshold;
        fade.checked = state.fade;
        part.remark.textContent = state.threshold
          ? "≥ " + state.threshold + " %: " + Atlas.share(kept, all) + " of tiles"
          : "all tiles";
      },
    };
  });
})();
