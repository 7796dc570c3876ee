/* All classes' probabilities of a tile as bars. */
(function () {
  "use strict";
  const { el } = Atlas;

  Atlas.part(110, function (page) {
    const { data, classes, meta, grid } = page,
      step = meta.shareStep,
      starts = new Map();
    let bytes = null;
    let at = 0;
    for (const layer of meta.layers) {
      const plane = grid.planes[layer.plane];
      starts.set(layer.date + " " + layer.plane, at);
      at += plane.rows * plane.cols * classes.length;
    }
    if (step)
      Atlas.inflate(Atlas.base64(page.text("atlas-shares"))).then((found) => {
        bytes = found;
        page.update({});
      });

    /** Percent by class, the largest first: all that are kept, else the two best and the rest. */
    function sharesOf(date, tile) {
      const plane = grid.where(tile).plane,
        code = data.classes[date][tile],
        first = data.confidence[date][tile] & Atlas.PERCENT;
      if (code >= classes.length && code !== Atlas.UNCLASSIFIED) return [];
      if (bytes) {
        const start = starts.get(date + " " + plane.number) + tile - plane.offset,
          size = plane.rows * plane.cols;
        return classes
          .map((_, k) => [k, k === code && step > 1 ? first : bytes[start + k * size] * step])
          .filter(([, value]) => value > 0)
          .sort((a, b) => b[1] - a[1]);
      }
      if (!data.details || code >= classes.length) return [];
      const second = data.details.runnerUp[date][tile],
        value = data.details.runnerUpConfidence[date][tile];
      return [
        [code, first],
        ...(second < classes.length ? [[second, value]] : []),
        ...(first + value < 100 ? [[-1, 100 - first - value]] : []),
      ];
    }
    function bars(date, tile) {
      const found = sharesOf(date, tile);
      if (!found.length) return null;
      return el(
        "ul",
        { class: "bars", "aria-label": "Probability of every class" },
        found.map(([k, value]) =>
          el(
            "li",
            {},
            el("span", {}, k < 0 ? "all others" : classes[k].short),
            el(
              "i",
              {},
              el("b", {
                style: {
                  width: Math.min(100, value) + "%",
                  background: k < 0 ? "var(--quiet)" : classes[k].colour,
                },
              }),
            ),
            el("em", {}, value + " %"),
          ),
        ),
      );
    }
    page.shares = { bars, of: sharesOf };
    return {};
  });
})();
