/* A sheet: what the map shows on paper, always light and whole, with title, key, north arrow and scale. */
(function () {
  "use strict";
  const { el, day } = Atlas;
  const FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
  const INK = "#1b1f24",
    QUIET = "#56606b",
    PAPER = "#ffffff",
    SEA = "#e9edef",
    LAND = "#f7f6f2",
    COAST = "#9aa5ae",
    WATER = "#d3e3ee";
  const KEY = 270,
    HEAD = 58;

  /** What the sheet shows: the area or the place where the map has all of it, else what the map has. */
  function boundsToShow(page) {
    const { map, state } = page,
      view = map.getBounds(),
      whole =
        state.where === "area" && page.area
          ? L.latLngBounds(page.area.polygons.flat(2).map(([x, y]) => [y, x])).pad(0.06)
          : state.place >= 0
            ? L.latLngBounds(page.places[state.place].bounds).pad(0.02)
            : view;
    return view.contains(whole) ? whole : view;
  }

  /** A frame of width x height pixels around what is to be shown: where it lies in the world's pixels. */
  function viewOf(page, width, height) {
    const bounds = boundsToShow(page),
      { mercatorX, mercatorY } = Atlas.projection,
      west = mercatorX(bounds.getWest()),
      north = mercatorY(bounds.getNorth()),
      wide = mercatorX(bounds.getEast()) - west,
      high = mercatorY(bounds.getSouth()) - north,
      world = Math.min(width / wide, height / high);
    return {
      x: (west + wide / 2) * world - width / 2,
      y: (north + high / 2) * world - height / 2,
      width,
      height,
      world,
    };
  }
  const projectOf =
    (view) =>
    ([latitude, longitude]) => {
      const x = Atlas.projection.mercatorX(longitude),
        middle = (view.x + view.width / 2) / view.world;
      return {
        x: (x - Math.round(x - middle)) * view.world - view.x,
        y: Atlas.projection.mercatorY(latitude) * view.world - view.y,
      };
    };
  function boundsOf(view) {
    const latitude = (y) => Atlas.projection.latitudeOf(y / view.world),
      longitude = (x) => (x / view.world) * 360 - 180;
    return L.latLngBounds(
      [latitude(view.y + view.height), longitude(view.x)],
      [latitude(view.y), longitude(view.x + view.width)],
    );
  }

  function trace(context, project, lines) {
    context.beginPath();
    for (const line of lines)
      line.forEach((point, k) => {
        const { x, y } = project(point);
        if (k) context.lineTo(x, y);
        else context.moveTo(x, y);
      });
  }

  function drawLand(page, context, project) {
    if (!page.outlines || !page.container.classList.contains("zoomed-out")) return;
    context.strokeStyle = COAST;
    for (const [lines, fill] of [
      [page.outlines.land, LAND],
      [page.outlines.water, WATER],
      [page.outlines.borders, null],
    ]) {
      trace(context, project, lines);
      context.fillStyle = fill;
      if (fill) context.fill("evenodd");
      context.stroke();
    }
  }

  /** The pictures and tiles of one side. */
  function drawSide(page, side, context, view) {
    const project = projectOf(view),
      layer = page.layers[side];
    context.imageSmoothingEnabled = true;
    for (const picture of layer.pictures) {
      const bounds = picture.getBounds(),
        a = project([bounds.getNorth(), bounds.getWest()]),
        b = project([bounds.getSouth(), bounds.getEast()]),
        image = picture.getElement();
      if (image && image.complete && image.naturalWidth) context.drawImage(image, a.x, a.y, b.x - a.x, b.y - a.y);
    }
    const canvas = el("canvas", { width: view.width, height: view.height }),
      target = canvas.getContext("2d"),
      pixels = target.createImageData(view.width, view.height),
      painter = new Atlas.Painter(page.grid, layer.source);
    painter.look(view);
    painter.paint(new Uint32Array(pixels.data.buffer));
    target.putImageData(pixels, 0, 0);
    context.drawImage(canvas, 0, 0);
  }

  function drawMap(page, context, view) {
    const { state } = page,
      project = projectOf(view),
      { width, height } = view,
      split = state.mode === "swipe" && !state.blink ? Math.round(state.split * width) : 0;
    context.fillStyle = SEA;
    context.fillRect(0, 0, width, height);
    drawLand(page, context, project);
    for (const [side, left, right] of [
      ["after", split, width],
      ["before", 0, split],
    ]) {
      if (left === right) continue;
      context.save();
      context.beginPath();
      context.rect(left, 0, right - left, height);
      context.clip();
      drawSide(page, side, context, view);
      context.restore();
    }
    if (split) {
      context.fillStyle = PAPER;
      context.fillRect(split - 2, 0, 4, height);
    }
    drawLines(page, context, view, project);
    drawTowns(page, context, view, project);
    drawArrow(context, width - 34, 20);
    drawScale(context, view);
  }

  function drawLines(page, context, view, project) {
    if (page.area) {
      const lines = page.area.polygons.flatMap((rings) =>
        rings.map((ring) => [...ring, ring[0]].map(([x, y]) => [y, x])),
      );
      for (const [colour, wide] of [
        ["#ffffff", 5],
        ["#0a5fb4", 2.5],
      ]) {
        trace(context, project, lines);
        context.strokeStyle = colour;
        context.lineWidth = wide;
        context.stroke();
      }
    }
    if (page.lined) {
      const lines = page.graticule(boundsOf(view));
      trace(
        context,
        project,
        lines.map(({ line }) => line),
      );
      context.strokeStyle = "rgba(27, 31, 36, .35)";
      context.lineWidth = 0.8;
      context.stroke();
      for (const { at, name } of lines) write(context, name, project(at).x + 4, project(at).y - 5, "10px", QUIET);
    }
    context.lineWidth = 1;
  }

  function drawTowns(page, context, view, project) {
    if (!page.townsInView) return;
    for (const { town, x, y } of page.townsInView(project, view.width - 60, view.height - 40, 24)) {
      context.fillStyle = INK;
      context.beginPath();
      context.arc(x, y, 2.2, 0, 7);
      context.fill();
      context.font = "11px " + FONT;
      context.lineWidth = 3;
      context.strokeStyle = "rgba(255, 255, 255, .85)";
      context.strokeText(town.name, x + 6, y + 4);
      context.fillText(town.name, x + 6, y + 4);
    }
    context.lineWidth = 1;
  }

  /** North is up in every sheet: the web map's projection turns nothing. */
  function drawArrow(context, x, y) {
    context.fillStyle = "rgba(255, 255, 255, .85)";
    context.fillRect(x - 16, y - 12, 32, 48);
    context.fillStyle = INK;
    context.beginPath();
    context.moveTo(x, y - 6);
    context.lineTo(x + 8, y + 16);
    context.lineTo(x, y + 11);
    context.lineTo(x - 8, y + 16);
    context.fill();
    context.textAlign = "center";
    write(context, "N", x, y + 31, "600 13px", INK);
    context.textAlign = "left";
  }

  function drawScale(context, view) {
    const latitude = (Atlas.projection.latitudeOf((view.y + view.height / 2) / view.world) * Math.PI) / 180,
      metres = (100 * 40075016.686 * Math.cos(latitude)) / view.world,
      power = 10 ** Math.floor(Math.log10(metres)),
      lead = metres / power,
      round = power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1),
      width = (100 * round) / metres;
    context.fillStyle = "rgba(255, 255, 255, .85)";
    context.fillRect(10, view.height - 34, width + 16, 26);
    context.fillStyle = INK;
    context.fillRect(18, view.height - 16, width, 3);
    write(context, round >= 1000 ? round / 1000 + " km" : round + " m", 18, view.height - 20, "11px", INK);
  }

  function write(context, text, x, y, font, colour, room) {
    context.font = font + " " + FONT;
    context.fillStyle = colour;
    context.fillText(text, x, y, room);
  }

  /** Rows of the key: {colour, second, name, value}. */
  function keyOf(page) {
    const { state, classes, data } = page,
      areas = page.areas("after"),
      textured = (entry) =>
        entry.texture ? "#" + Atlas.painting.textureColour(entry.colour).map(hex).join("") : null;
    if (state.mode === "change") {
      const sums = data.details
          ? data.transitions(state.before, state.after, state.threshold, page.scope())
          : null,
        into = (k) =>
          classes.reduce((sum, _, from) => sum + (sums ? sums.matrix[from * classes.length + k] : 0), 0);
      return [
        ...classes
          .map((entry, k) => ({
            colour: entry.colour,
            second: textured(entry),
            name: "became " + entry.short,
            value: into(k),
          }))
          .filter(({ value }) => value > 0)
          .sort((a, b) => b.value - a.value),
        { colour: "#cdc8be", second: "#3e444a", name: "undecided", value: sums ? sums.undecided : 0 },
        { colour: "#f4f4f4", name: "stable", value: sums ? sums.stable : 0 },
      ];
    }
    return [
      ...classes
        .map((entry, k) => ({
          colour: entry.colour,
          second: textured(entry),
          name: entry.title,
          value: areas[k] * data.hectares,
          k,
        }))
        .filter(({ value, k }) => value > 0 && state.shown[k])
        .sort((a, b) => b.value - a.value),
      ...[
        [Atlas.CLOUD, "#f2f4f5", "Cloud"],
        [Atlas.UNCLASSIFIED, "#9b9ea1", "Unclassified"],
        [Atlas.NO_DATA, "#dfe2e4", "No data"],
      ]
        .map(([code, colour, name]) => ({ colour, second: "#7d868e", name, value: areas[code] * data.hectares }))
        .filter(({ value }) => value > 0 && state.states),
    ];
  }
  const hex = (value) => value.toString(16).padStart(2, "0");

  function drawKey(page, context, x, height) {
    keyOf(page).forEach(({ colour, second, name, value }, row) => {
      const y = 14 + 21 * row;
      if (y > height - 60) return;
      context.fillStyle = colour;
      context.fillRect(x, y - 11, 15, 15);
      if (second) {
        context.fillStyle = second;
        for (let k = 0; k < 15; k += 4) context.fillRect(x + k, y - 11, 1.4, 15);
      }
      context.strokeStyle = "rgba(0, 0, 0, .4)";
      context.strokeRect(x + 0.5, y - 10.5, 14, 14);
      write(context, name, x + 23, y + 1, "12px", INK, KEY - 125);
      context.textAlign = "right";
      write(context, Atlas.hectares(value), x + KEY - 24, y + 1, "12px", INK);
      context.textAlign = "left";
    });
    const { meta } = page,
      counted = page.scope().name;
    [
      "Counted: " + counted,
      "Counts of " + Atlas.metres(meta.tile) + " squares, not surveyed areas",
      meta.attribution,
    ].forEach((text, k) => write(context, text, x, height - 34 + 15 * k, "10px", QUIET, KEY - 24));
  }

  /** Dates that the sheet is about, in words. */
  function datesOf(page) {
    const { state, meta } = page;
    if (state.place < 0) return "each place at its latest date";
    if (state.mode === "map") return day(meta.dates[state.after]);
    return day(meta.dates[state.before]) + " to " + day(meta.dates[state.after]);
  }
  const titleOf = (page) => page.heading.textContent;
  const kindOf = (page) => ({ map: "Land cover", swipe: "Two dates", change: "Change" })[page.state.mode];

  /** The whole sheet as a canvas of width x height pixels at a ratio. */
  function sheet(page, width, height, ratio = 2) {
    const dark = page.dark;
    page.dark = false; // paper is light
    if (page.state.mode === "change") Atlas.painting.paintChange(page);
    const canvas = el("canvas", { width: width * ratio, height: height * ratio }),
      context = canvas.getContext("2d"),
      frame = { width: width - KEY, height: height - HEAD };
    context.scale(ratio, ratio);
    context.fillStyle = PAPER;
    context.fillRect(0, 0, width, height);
    write(context, titleOf(page), 16, 26, "600 18px", INK, width - 32);
    write(context, kindOf(page) + ", " + datesOf(page), 16, 46, "12px", QUIET, width - 32);
    context.save();
    context.translate(0, HEAD);
    context.beginPath();
    context.rect(0, 0, frame.width, frame.height);
    context.clip();
    drawMap(page, context, viewOf(page, frame.width, frame.height));
    context.restore();
    context.save();
    context.translate(0, HEAD);
    drawKey(page, context, frame.width + 14, frame.height);
    context.restore();
    page.dark = dark;
    if (dark && page.state.mode === "change") Atlas.painting.paintChange(page);
    return canvas;
  }

  Atlas.sheet = { draw: sheet, datesOf, titleOf, kindOf, keyOf };
})();
