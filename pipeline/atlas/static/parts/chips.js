/* Chips: the tiles' own pictures, packed as sheets that are decoded when first asked for. */
(function () {
  "use strict";
  const { el } = Atlas;

  Atlas.part(100, function (page) {
    const { chips } = page.meta;
    if (!chips.sheets.length) return null;
    const sheets = [],
      perSheet = chips.columns * chips.columns;
    // Which tile and date each chip shows, as date * tiles + tile.
    const places = Atlas.inflate(Atlas.base64(page.text("atlas-chips"))).then((bytes) => {
      const keys = new Uint32Array(bytes.buffer, 0, bytes.byteLength / 4),
        found = new Map();
      keys.forEach((key, at) => found.set(key, at));
      page.chips.places = found;
      page.update({});
    });
    function sheet(number) {
      if (!sheets[number]) {
        const image = new Image();
        image.src = "data:image/webp;base64," + page.text(chips.sheets[number]);
        sheets[number] = image.decode().then(() => image);
      }
      return sheets[number];
    }
    page.chips = {
      places: null,
      ready: places,
      /** A tile's picture at a date as an element, or null where the page holds none. */
      picture(date, tile) {
        const at = this.places && this.places.get(date * page.grid.size + tile);
        if (at == null) return null;
        const canvas = el("canvas", {
          class: "chip",
          width: chips.edge,
          height: chips.edge,
          role: "img",
          "aria-label": "The tile as the model saw it, " + Atlas.day(page.meta.dates[date]),
        });
        sheet(Math.floor(at / perSheet)).then((image) => {
          const cell = at % perSheet,
            x = (cell % chips.columns) * chips.edge,
            y = Math.floor(cell / chips.columns) * chips.edge;
          canvas.getContext("2d").drawImage(image, x, y, chips.edge, chips.edge, 0, 0, chips.edge, chips.edge);
        });
        return canvas;
      },
    };
    return {};
  });
})();
