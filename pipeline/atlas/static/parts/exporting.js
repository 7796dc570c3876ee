/* The view as a picture, as paper, as an address. */
(function () {
  "use strict";
  const { el, day } = Atlas;
  const LEGEND_WIDTH = 250,
    FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

  Atlas.part(1400, function (page) {
    const { map, container, meta, classes, data } = page;
    const tool = (icon, name, onclick) => page.tools.append(Atlas.toolButton(icon, name, onclick));

    /** Draws what the map shows and a legend beside it on a canvas. */
    function compose() {
      const { state } = page,
        size = map.getSize(),
        ratio = Math.min(2, Math.max(1, window.devicePixelRatio || 1)),
        css = getComputedStyle(document.documentElement),
        colour = (name) => css.getPropertyValue(name).trim();
      const canvas = el("canvas", { width: (size.x + LEGEND_WIDTH) * ratio, height: size.y * ratio }),
        context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      context.fillStyle = getComputedStyle(container).backgroundColor;
      context.fillRect(0, 0, size.x, size.y);
      context.save();
      context.beginPath();
      context.rect(0, 0, size.x, size.y);
      context.clip();
      if (container.classList.contains("zoomed-out")) drawOutlines(context, colour);
      const box = container.getBoundingClientRect(),
        draw = (element) => {
          const r = element.getBoundingClientRect();
          if (element.width && element.height && r.width)
            context.drawImage(element, r.left - box.left, r.top - box.top, r.width, r.height);
        };
      for (const side of ["after", "before"]) {
        const layer = page.layers[side],
          split = state.split * size.x;
        if (side === "before" && (state.mode !== "swipe" || state.blink)) continue;
        context.save();
        if (state.mode === "swipe" && !state.blink) {
          context.beginPath();
          context.rect(side === "before" ? 0 : split, 0, side === "before" ? split : size.x - split, size.y);
          context.clip();
        }
        for (const picture of layer.pictures) draw(picture.getElement());
        context.imageSmoothingEnabled = false;
        for (const part of layer.canvas.canvases()) draw(part);
        context.restore();
      }
      if (state.mode === "swipe" && !state.blink) {
        context.fillStyle = "#fff";
        context.fillRect(state.split * size.x - 2, 0, 4, size.y);
      }
      drawScale(context, size, colour);
      context.restore();
      drawLegend(context, size, colour);
      return canvas;
    }

    function drawOutlines(context, colour) {
      const trace = (points) =>
        points.forEach((point, k) => {
          const p = map.latLngToContainerPoint(point);
          if (k) context.lineTo(p.x, p.y);
          else context.moveTo(p.x, p.y);
        });
      context.beginPath();
      page.outlines.rings.forEach(trace);
      context.fillStyle = colour("--land");
      context.fill("evenodd");
      context.strokeStyle = colour("--coast");
      context.stroke();
      context.beginPath();
      page.outlines.borders.forEach(trace);
      context.stroke();
    }

    function drawScale(context, size, colour) {
      const metres = map.distance(
          map.containerPointToLatLng([0, size.y / 2]),
          map.containerPointToLatLng([100, size.y / 2]),
        ),
        power = 10 ** Math.floor(Math.log10(metres)),
        lead = metres / power,
        round = power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1),
        width = (100 * round) / metres;
      context.fillStyle = colour("--paper");
      context.fillRect(10, size.y - 36, width + 16, 26);
      context.fillStyle = colour("--ink");
      context.fillRect(18, size.y - 18, width, 2);
      context.font = "11px " + FONT;
      context.fillText(round >= 1000 ? round / 1000 + " km" : round + " m", 18, size.y - 22);
    }

    function drawLegend(context, size, colour) {
      const { state } = page,
        x = size.x,
        areas = data.areas(state.after, state.threshold, page.countMask());
      context.fillStyle = colour("--paper");
      context.fillRect(x, 0, LEGEND_WIDTH, size.y);
      const write = (text, at, y, font, tone, room) => {
        context.font = font + " " + FONT;
        context.fillStyle = colour(tone || "--ink");
        context.fillText(text, at, y, room || LEGEND_WIDTH - (at - x) - 12);
      };
      write(meta.title, x + 16, 32, "600 15px");
      const dates =
        state.mode === "map"
          ? day(meta.dates[state.after])
          : day(meta.dates[state.before]) + " → " + day(meta.dates[state.after]);
      write(
        { map: "Land cover, ", swipe: "Two dates, ", change: "Change, " }[state.mode] + dates,
        x + 16,
        52,
        "12px",
        "--quiet",
      );
      const order = classes
        .map((_, k) => k)
        .filter((k) => state.shown[k])
        .sort((a, b) => areas[b] - areas[a]);
      order.forEach((k, row) => {
        const y = 80 + 22 * row;
        context.fillStyle = classes[k].colour;
        context.fillRect(x + 16, y - 11, 14, 14);
        context.strokeStyle = "rgba(0, 0, 0, .35)";
        context.strokeRect(x + 16.5, y - 10.5, 13, 13);
        write(classes[k].title + " " + classes[k].letters, x + 38, y, "12px", "--ink", LEGEND_WIDTH - 122);
        const text = Atlas.number(areas[k] * data.hectares) + " ha";
        context.textAlign = "right";
        context.font = "12px " + FONT;
        context.fillText(text, x + LEGEND_WIDTH - 14, y);
        context.textAlign = "left";
      });
      write(meta.attribution, x + 16, size.y - 30, "10px", "--quiet");
      write(
        "Counts of " + Atlas.number(meta.tile) + " m squares, not surveyed areas",
        x + 16,
        size.y - 16,
        "10px",
        "--quiet",
      );
    }

    page.exportPicture = () => new Promise((resolve) => compose().toBlob(resolve, "image/png"));
    tool("print", "Print", () => window.print());
    tool("picture", "Save the view as PNG", async () =>
      Atlas.download("land-cover-" + meta.dates[page.state.after] + ".png", await page.exportPicture()),
    );
    tool("link", "Copy the address of this view", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        page.notice("The address of this view is copied.");
      } catch (error) {
        page.notice("Copy the address from the browser's address line.");
      }
    });
    addEventListener("beforeprint", () => map.invalidateSize({ animate: false, pan: false }));
    addEventListener("afterprint", () => map.invalidateSize({ animate: false, pan: false }));
    return {};
  });
})();
