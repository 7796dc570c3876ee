/* Where it changed: joined tiles as patches, the surest and largest first, each a click away. */
(function () {
  "use strict";
  const { el, link, section, swatch, number, hectares } = Atlas;
  const PAGE = 8;

  Atlas.part(310, function (page) {
    const { data, classes, meta, map, grid } = page;
    if (meta.dates.length < 2) return null;
    const part = section("Where it changed", "patches");
    let count = PAGE,
      found = [],
      chosen = -1,
      drawn = "";

    function visit(patch, at) {
      chosen = at;
      const corners = patch.tiles.flatMap((tile) => grid.ring(tile));
      page.fit(L.latLngBounds(corners).pad(patch.tiles.length < 6 ? 1.5 : 0.4));
      page.update({ pinned: patch.tiles[0] });
    }
    /** Pictures of the patch's first tile at both dates. */
    function pictures(patch) {
      if (!page.chips || !page.chips.places) return null;
      const shown = [page.state.before, page.state.after].map((date) => page.chips.picture(date, patch.tiles[0]));
      return shown.every(Boolean) ? el("span", { class: "pair" }, shown) : null;
    }
    const item = (patch, at) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            "data-key": "patch " + at,
            "aria-current": String(at === chosen),
            title: "Zoom to this patch",
            onclick: () => visit(patch, at),
          },
          pictures(patch),
          el(
            "span",
            {},
            swatch(classes[patch.from].colour),
            classes[patch.from].short,
            patch.from === patch.to
              ? " inside the class"
              : [" → ", swatch(classes[patch.to].colour), classes[patch.to].short],
            el(
              "small",
              {},
              hectares(patch.hectares) +
                " · " +
                number(patch.tiles.length) +
                (patch.tiles.length === 1 ? " tile · " : " tiles · ") +
                number((100 * patch.sure) / patch.hectares) +
                " % sure",
            ),
          ),
        ),
      );
    function save() {
      const rows = [
        ["patch", "from", "to", "tiles", "hectares", "certainty", "latitude", "longitude", "first_tile"],
      ];
      found.forEach((patch, at) => {
        const [latitude, longitude] = grid.centre(patch.tiles[0]);
        rows.push([
          at + 1,
          classes[patch.from].label,
          classes[patch.to].label,
          patch.tiles.length,
          patch.hectares.toFixed(2),
          (patch.sure / patch.hectares).toFixed(3),
          latitude.toFixed(5),
          longitude.toFixed(5),
          grid.id(patch.tiles[0]),
        ]);
      });
      Atlas.csv("change-patches-" + Atlas.fileName(page.places[page.state.place].name) + ".csv", rows);
    }
    function draw(state) {
      part.root.hidden = state.mode !== "change" || !data.details;
      if (part.root.hidden) {
        drawn = "";
        return;
      }
      const scope = page.scope(),
        key = [
          page.changeKey,
          scope.key,
          state.palette,
          count,
          chosen,
          Boolean(page.chips && page.chips.places),
        ].join();
      if (key === drawn) return; // a control that is rebuilt between press and release loses the click
      drawn = key;
      const inside = (tile) => page.isChanged(tile) && (!scope.weight || scope.weight[tile] > 0);
      found = data.patches(state.before, state.after, inside, scope);
      part.remark.textContent = number(found.length) + (found.length === 1 ? " patch" : " patches");
      Atlas.redraw(
        part.body,
        found.length
          ? el("ol", { class: "patch-list" }, found.slice(0, count).map(item))
          : el("p", { class: "note" }, "No tile changed beyond doubt under these filters."),
        el(
          "p",
          { class: "note" },
          found.length
            ? "Tiles that meet are one patch; the most hectares that can be believed come first. "
            : null,
          found.length > count ? [link("show more", () => ((count += 3 * PAGE), page.update({}))), " · "] : null,
          found.length ? link("CSV", save, "Save all patches") : null,
        ),
      );
    }
    map.on("moveend", () => {
      if (page.state.where === "view") draw(page.state);
    });
    return { root: part.root, draw };
  });
})();
