/* About: what a label means, how good the model is, which scenes went in and which were refused. */
(function () {
  "use strict";
  const { el, section, number } = Atlas;
  const MOST_METRICS = 8;
  const percent = (value) => (100 * value).toFixed(1) + "\u00a0%";

  /** Accuracy and calibration error in a model's metrics, however nested, those on places unseen in training first.
   * */
  function accuracies(metrics, path) {
    return Object.entries(metrics || {})
      .flatMap(([name, value]) => {
        if (value && typeof value === "object" && !Array.isArray(value))
          return accuracies(value, path.concat(name));
        const kind = { accuracy: "Accuracy", balanced_accuracy: "Balanced accuracy", ece: "Calibration error" }[
          name
        ];
        if (!kind || typeof value !== "number") return [];
        const spatial = path.some((part) => /spatial/.test(part));
        return [
          {
            spatial,
            name:
              kind +
              (spatial ? " on unseen places" : path.length ? " (" + path.join(", ").replace(/_/g, " ") + ")" : ""),
            value,
          },
        ];
      })
      .sort((a, b) => b.spatial - a.spatial)
      .slice(0, MOST_METRICS);
  }

  Atlas.accuracies = accuracies;

  /** A scene's radiometry passport in one line. */
  function passport(scene) {
    const radiometry = scene.radiometry || {},
      offsets = Object.values(radiometry.offsets || {}),
      parts = [];
    if (scene.period) parts.push("composite of " + scene.period + ": " + scene.looks.join(", "));
    if (scene.level) parts.push(scene.level);
    if (scene.platform) parts.push(scene.platform);
    if (radiometry.baseline) parts.push("baseline " + radiometry.baseline);
    if (radiometry.quantification) parts.push("DN / " + number(radiometry.quantification));
    if (offsets.length)
      parts.push(
        "offset " +
          [...new Set(offsets)].join(", ") +
          (radiometry.sources && radiometry.sources.offset ? " (" + radiometry.sources.offset + ")" : ""),
      );
    if (scene.cloud != null) parts.push("cloud " + Number(scene.cloud).toFixed(0) + "\u00a0%");
    if (radiometry.approximate) parts.push("reflectance approximate: made from a picture");
    if (radiometry.verdict) parts.push(radiometry.verdict);
    return parts.join(" · ");
  }

  /** What a person's labels of a random sample say (Olofsson et al. 2014). */
  function assessed(found, heading) {
    const rows = found.classes.map((row) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, row.label),
        el("td", {}, number(row.mapped_ha)),
        el("td", {}, row.adjusted_ha == null ? "–" : number(row.adjusted_ha) + " ± " + number(row.adjusted_ci)),
      ),
    );
    return el(
      "div",
      {},
      el("h3", {}, heading),
      el(
        "p",
        { class: "note" },
        "Accuracy " +
          percent(found.accuracy) +
          " ± " +
          percent(found.accuracy_ci) +
          " (95 % interval). Adjusted hectares correct the counts for the map's errors.",
      ),
      el(
        "table",
        { class: "assessment" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th"),
            el("th", { scope: "col" }, "counted ha"),
            el("th", { scope: "col" }, "adjusted ha"),
          ),
        ),
        el("tbody", {}, rows),
      ),
    );
  }

  Atlas.part(800, function (page) {
    const { meta } = page,
      { model } = meta,
      part = section("About this map", "about"),
      found = accuracies(model.metrics, []);
    const side = Atlas.metres(meta.tile),
      area = number(page.data.hectares, 2);
    const scenes = meta.scenes.map((scene) =>
      el(
        "li",
        {},
        el("b", {}, scene.id),
        el("span", {}, passport(scene)),
        scene.warnings.map((text) => el("span", { class: "warning" }, text)),
      ),
    );
    const refusals = meta.refusals.map((entry) =>
      el("li", {}, el("b", {}, entry.id), el("span", { class: "warning" }, entry.error + ": " + entry.reason)),
    );
    const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, value)];
    part.body.append(
      el(
        "p",
        { class: "note" },
        "Each square is " +
          side +
          " × " +
          side +
          " (" +
          area +
          " ha), " +
          meta.tilePixels +
          " × " +
          meta.tilePixels +
          " pixels (" +
          meta.sensor +
          "), and carries the one class that the model finds " +
          "likeliest for all of it. A village inside fields may thus be called fields. Areas are counts of " +
          "such squares, not surveyed areas.",
      ),
      el(
        "p",
        { class: "note" },
        "Confidence is the model's calibrated probability for the class: of tiles with 80 %, about 80 in 100 " +
          "should be right where the land is like that of the training data. Places unlike it are left " +
          "unclassified where the model notices.",
      ),
      el(
        "dl",
        { class: "facts" },
        fact("Model", (model.name || "unknown") + (model.architecture ? ", " + model.architecture : "")),
        Object.entries(model.trained_on || {})
          .filter(([, value]) => typeof value === "string" || typeof value === "number")
          .slice(0, 4)
          .map(([name, value]) => fact("Training: " + name.replace(/_/g, " "), String(value))),
        found.map(({ name, value }) => fact(name, percent(value))),
        model.temperature ? fact("Calibration", "temperature " + Number(model.temperature).toFixed(2)) : null,
        fact("Made by", meta.software || "landcover-atlas"),
      ),
      found.some(({ spatial }) => spatial)
        ? el(
            "p",
            { class: "note" },
            "Unseen places lie apart from all places that the model was trained on; their figures tell more " +
              "about a new scene than those among neighbours do.",
          )
        : "",
      meta.assessment ? assessed(meta.assessment, "Checked on a random sample") : "",
      meta.cover_assessment ? assessed(meta.cover_assessment, "The cover, checked on random pixels") : "",
      el(
        "details",
        { open: meta.refusals.length > 0 },
        el(
          "summary",
          {},
          meta.scenes.length +
            (meta.scenes.length === 1 ? " scene" : " scenes") +
            (refusals.length ? ", " + refusals.length + " refused" : ""),
        ),
        refusals.length ? el("ul", { class: "scene-list" }, refusals) : "",
        el("ul", { class: "scene-list" }, scenes),
      ),
      (meta.classNotes || []).length
        ? el(
            "details",
            {},
            el("summary", {}, "What these classes cannot tell apart"),
            el(
              "ul",
              { class: "scene-list" },
              meta.classNotes.map((note) => el("li", {}, note)),
            ),
          )
        : "",
      el(
        "p",
        { class: "note" },
        [meta.attribution, meta.classesAfter].filter(Boolean).join(". ") +
          ". Land and border lines: Natural Earth, public domain. " +
          "Map: Leaflet (BSD-2).",
      ),
    );
    return { root: part.root };
  });
})();
