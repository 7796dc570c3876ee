/* Background: the scenes' own pictures, nothing, or an online map that the reader chooses; opacity of the classes. */
(function () {
  "use strict";
  const { el, section } = Atlas;

  Atlas.part(700, function (page) {
    const { map, meta } = page,
      part = section("Background", "background"),
      online = {};
    for (const entry of meta.basemaps)
      online[entry.id] = L.tileLayer(entry.url, {
        attribution: entry.attribution,
        maxNativeZoom: entry.maxZoom,
        maxZoom: 24,
        crossOrigin: "anonymous",
      });
    const choices = [
      ["scene", "Scene image"],
      ["none", "None"],
      ...meta.basemaps.map((entry) => [entry.id, entry.name]),
    ];
    const buttons = choices.map(([id, name]) =>
      el(
        "button",
        {
          type: "button",
          "data-base": id,
          title: online[id] ? "Asks a server on the internet" : "",
          onclick: () => page.update({ base: id }),
        },
        name + (online[id] ? " ↗" : ""),
      ),
    );
    const opacity = el("input", {
      type: "range",
      min: 0,
      max: 100,
      "aria-label": "Opacity of the classes, percent",
      oninput: () => page.update({ opacity: opacity.value / 100 }),
    });
    part.body.append(
      el("div", { class: "segments", role: "group", "aria-label": "Background" }, buttons),
      el("label", { class: "row" }, el("span", { class: "quiet" }, "Class opacity"), opacity),
    );
    part.body.append(page.paletteRow);
    if (meta.basemaps.length)
      part.body.append(el("p", { class: "note" }, "↗ needs the internet; the rest of this page does not."));
    let current = null;

    function choose(id) {
      if (current) current.remove();
      current = online[id] || null;
      if (!current) return;
      current.once("tileerror", () => {
        if (page.state.base !== id) return;
        page.notice("The online map cannot be reached: showing the scene image.");
        page.update({ base: "scene" });
      });
      current.addTo(map);
    }
    let chosen = null;
    return {
      root: part.root,
      draw: (state) => {
        for (const button of buttons)
          button.setAttribute("aria-pressed", String(button.dataset.base === state.base));
        opacity.value = Math.round(100 * state.opacity);
        if (chosen !== state.base) choose((chosen = state.base));
      },
    };
  });
})();
