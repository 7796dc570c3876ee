/* Swipe: two map panes, each clipped to its side of a bar. Clipping panes works for pictures and canvases alike. */
(function () {
  "use strict";
  const { el, day } = Atlas;

  Atlas.part(1100, function (page) {
    const { map, container, meta } = page;
    const bar = el("div", {
      class: "swipe-bar",
      tabindex: 0,
      role: "slider",
      "aria-label": "Border between the two dates",
      "aria-orientation": "horizontal",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    });
    const flags = { before: el("div", { class: "flag before" }), after: el("div", { class: "flag after" }) };
    container.append(bar, flags.before, flags.after);

    function clip() {
      const { state } = page,
        on = state.mode === "swipe" && !state.blink,
        size = map.getSize();
      const northWest = map.containerPointToLayerPoint([0, 0]),
        southEast = map.containerPointToLayerPoint(size),
        x = northWest.x + state.split * size.x;
      // Clip paths are in the pane's own pixels, which move with the map.
      const box = (left, right) =>
        "polygon(" +
        [
          [left, northWest.y],
          [right, northWest.y],
          [right, southEast.y],
          [left, southEast.y],
        ]
          .map((p) => p[0] + "px " + p[1] + "px")
          .join(",") +
        ")";
      map.getPane("atlas-before").style.clipPath = on ? box(northWest.x, x) : "";
      map.getPane("atlas-after").style.clipPath = on ? box(x, southEast.x) : "";
      for (const element of [bar, flags.before, flags.after]) element.hidden = !on;
      if (state.blink && state.mode === "swipe") {
        const side = page.blinkPhase ? "before" : "after";
        flags[side].hidden = false;
        Object.assign(flags[side].style, { left: "50%", right: "" });
        flags[side].textContent = day(meta.dates[page.dateOf("after")]);
        return;
      }
      bar.style.left = 100 * state.split + "%";
      bar.setAttribute("aria-valuenow", Math.round(100 * state.split));
      flags.before.textContent = day(meta.dates[state.before]);
      flags.after.textContent = day(meta.dates[state.after]);
      Object.assign(flags.before.style, { left: "", right: (1 - state.split) * size.x + 14 + "px" });
      Object.assign(flags.after.style, { right: "", left: state.split * size.x + 14 + "px" });
    }
    const move = (split) => {
      page.state.split = Math.max(0.02, Math.min(0.98, split));
      clip();
    };
    L.DomEvent.disableClickPropagation(bar);
    bar.onpointerdown = (event) => {
      bar.setPointerCapture(event.pointerId);
      map.dragging.disable();
      bar.onpointermove = (moved) => {
        const box = container.getBoundingClientRect();
        move((moved.clientX - box.left) / box.width);
      };
    };
    bar.onpointerup = bar.onpointercancel = () => {
      bar.onpointermove = null;
      map.dragging.enable();
      page.update({});
    };
    bar.onkeydown = (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
      if (step) {
        move(page.state.split + step);
        event.stopPropagation();
        event.preventDefault();
      }
    };
    map.on("move zoomend resize viewreset", clip);
    return { draw: clip };
  });
})();
