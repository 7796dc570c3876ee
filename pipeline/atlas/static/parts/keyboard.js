/* Keys: modes, dates, and a walk from tile to tile. */
(function () {
  "use strict";
  const { el } = Atlas;
  const HELP = [
    ["1 2 3", "Map, Swipe, Change"],
    [", .", "Earlier, later date"],
    ["P", "Play the dates (Map)"],
    ["B", "Blink between two dates (Swipe)"],
    ["T", "Read the tile in the middle"],
    ["Shift + arrows", "Walk from tile to tile"],
    ["Esc", "Release the tile"],
    ["+ − arrows", "Zoom and move the map"],
    ["?", "This list"],
  ];

  Atlas.part(1500, function (page) {
    const { map, meta, data, grid, container } = page;
    const close = el("button", { type: "button", onclick: () => help.close() }, "Close");
    const help = el(
      "dialog",
      { class: "help", "aria-label": "Keys" },
      el("h2", {}, "Keys"),
      el(
        "dl",
        {},
        HELP.map(([keys, what]) => [el("dt", {}, keys), el("dd", {}, what)]),
      ),
      close,
    );
    document.body.append(help);
    page.tools.append(Atlas.toolButton("keys", "Keys", () => help.showModal()));

    function readMiddle() {
      const tile = page.findTile(map.getCenter(), "after");
      if (tile >= 0 && tile !== page.state.pinned) page.pin(tile);
    }
    function walk(rows, cols) {
      if (page.state.pinned < 0) {
        readMiddle();
        return;
      }
      const next = grid.neighbour(page.state.pinned, rows, cols),
        date = next < 0 ? -1 : page.dateAt("after", next);
      if (date < 0 || !data.exists(date, next)) return;
      page.pin(next);
      const centre = grid.centre(next);
      if (!map.getBounds().pad(-0.1).contains(centre)) map.panTo(centre);
    }
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const actions = {
      1: () => mode("map"),
      2: () => mode("swipe"),
      3: () => mode("change"),
      ",": () => page.stepDate && page.stepDate(-1),
      ".": () => page.stepDate && page.stepDate(1),
      p: () => page.togglePlay && page.togglePlay(),
      b: () => page.toggleBlink && page.toggleBlink(),
      t: readMiddle,
      "?": () => help.showModal(),
      Escape: () => {
        page.release();
      },
    };
    const mode = (name) => {
      if (meta.dates.length > 1) page.setMode(name);
    };
    // In the capture phase, because Leaflet pans on Shift + arrows.
    document.addEventListener(
      "keydown",
      (event) => {
        if (
          event.ctrlKey ||
          event.metaKey ||
          event.altKey ||
          help.open ||
          /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)
        )
          return;
        if (event.shiftKey && steps[event.key] && (event.target === container || event.target === document.body))
          walk(...steps[event.key]);
        else if (actions[event.key]) actions[event.key]();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
      true,
    );
    return {};
  });
})();
