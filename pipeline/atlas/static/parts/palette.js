/* Colours for other eyes: an alternative palette with textures, chosen in the page. */
(function () {
  "use strict";
  const { el } = Atlas;

  Atlas.part(50, function (page) {
    const { meta, classes } = page;
    let shown = "usual";
    const box = el("input", {
      type: "checkbox",
      onchange: () => page.update({ palette: box.checked ? "safe" : "usual" }),
    });
    page.paletteRow = el("label", { class: "row" }, box, "Colours and textures for colour-blind readers");
    return {
      draw: (state) => {
        box.checked = state.palette === "safe";
        if (shown === state.palette) return;
        shown = state.palette;
        classes.forEach((entry, k) =>
          Object.assign(
            entry,
            shown === "safe"
              ? meta.safe[k]
              : { colour: meta.classes[k].colour, ink: meta.classes[k].ink, texture: 0 },
          ),
        );
        page.update({});
      },
    };
  });
})();
