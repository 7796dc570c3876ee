/* Your area: an outline that is drawn or dropped; figures count what lies inside, tiles on the border by their part. */
(function () {
  "use strict";
  const { el, link, section, number } = Atlas;
  const LARGEST = 20e6, // bytes of a file
    BINARY = [
      ["SQLite format 3", "a GeoPackage"],
      ["PK\u0003\u0004", "a zip, perhaps of a shapefile"],
    ];

  Atlas.part(390, function (page) {
    const { map, grid, container } = page,
      part = section("Your area", "area");
    let areas = [],
      drawing = null;
    const layer = L.layerGroup().addTo(map);
    const lines = (polygons, style) =>
      polygons.map((rings) =>
        L.polygon(
          rings.map((ring) => ring.map(([x, y]) => [y, x])),
          Object.assign({ fill: false, interactive: false }, style),
        ),
      );

    /** Outlines in KML: every Placemark's polygons. */
    function fromKml(text) {
      const found = new DOMParser().parseFromString(text, "text/xml");
      if (found.querySelector("parsererror")) throw new Error("it is no XML");
      const all = (node, name) => [...node.getElementsByTagNameNS("*", name)];
      const ring = (node) =>
        (all(node, "coordinates")[0] || { textContent: "" }).textContent
          .trim()
          .split(/\s+/)
          .map((text) => text.split(",").slice(0, 2).map(Number));
      return all(found, "Placemark").map((mark, k) => ({
        name: (all(mark, "name")[0] || {}).textContent || "area " + (k + 1),
        polygons: all(mark, "Polygon").map((polygon) =>
          ["outerBoundaryIs", "innerBoundaryIs"].flatMap((kind) => all(polygon, kind).map(ring)),
        ),
      }));
    }
    function read(text) {
      const binary = BINARY.find(([begin]) => text.startsWith(begin));
      if (binary) throw new Error("it is " + binary[1] + ", and this page reads GeoJSON and KML");
      let found;
      try {
        found = /^\s*</.test(text) ? fromKml(text) : Atlas.fromGeoJson(JSON.parse(text));
      } catch (error) {
        throw new Error("it is neither GeoJSON nor KML");
      }
      const whole = found.filter(
        (one) => one.polygons.length && one.polygons.flat(2).flat().every(Number.isFinite),
      );
      if (!whole.length) throw new Error("it holds no polygon in longitudes and latitudes");
      use(whole);
    }
    async function open(file) {
      try {
        if (file.size > LARGEST) throw new Error("it is larger than 20 MB");
        read(await file.text());
      } catch (error) {
        page.notice(
          file.name +
            " cannot be used here: " +
            error.message +
            ". On the command line GeoPackages and zipped shapefiles go as well: python -m pipeline areas " +
            "tiles --regions FILE",
        );
      }
    }
    function use(found) {
      areas = found;
      choose(0, true);
    }
    function choose(at, move) {
      const { name, polygons } = areas[at],
        shares = Atlas.tileShares(grid, grid.planes, polygons),
        inside = shares.reduce((sum, share) => sum + share, 0);
      page.area = { name, polygons, shares, at, key: name + " " + inside.toFixed(3) };
      layer.clearLayers();
      for (const [number_, one] of areas.entries())
        for (const line of lines(one.polygons, { color: "#fff", weight: number_ === at ? 6 : 3 }))
          layer.addLayer(line);
      for (const [number_, one] of areas.entries())
        for (const line of lines(one.polygons, { color: "#0a5fb4", weight: number_ === at ? 3 : 1.5 }))
          layer.addLayer(line);
      const box = L.latLngBounds(polygons.flat(2).map(([x, y]) => [y, x]));
      const held = grid.planes.filter((plane) => shares.subarray(plane.offset, plane.end).some(Boolean));
      if (!held.length) {
        page.notice(name + " lies outside all places of this map.");
        page.update({ where: "place" });
      } else {
        if (!held.some((plane) => page.placeOf[plane.number] === page.state.place))
          page.focus(page.placeOf[held[0].number]);
        page.update({ where: "area", pair: null });
      }
      if (move) page.fit(box);
      drawSection();
    }
    function forget() {
      areas = [];
      page.area = null;
      layer.clearLayers();
      page.update({ where: "place" });
      drawSection();
    }

    function startDrawing() {
      drawing = { corners: [], line: L.polygon([], { color: "#0a5fb4", weight: 3, dashArray: "6 5" }).addTo(map) };
      map.doubleClickZoom.disable();
      container.classList.add("drawing");
      drawSection();
    }
    function addCorner({ latlng }) {
      drawing.corners.push([latlng.lng, latlng.lat]);
      drawing.line.setLatLngs(drawing.corners.map(([x, y]) => [y, x]));
      drawSection();
    }
    function stopDrawing(keep) {
      if (!drawing) return;
      const { corners, line } = drawing;
      line.remove();
      drawing = null;
      container.classList.remove("drawing");
      setTimeout(() => map.doubleClickZoom.enable(), 300);
      const distinct = corners.filter(([x, y], k) => !k || x !== corners[k - 1][0] || y !== corners[k - 1][1]);
      if (keep && distinct.length > 2) use([{ name: "my area", polygons: [[distinct]] }]);
      else if (keep) page.notice("An area needs at least three corners.");
      drawSection();
    }
    page.isDrawing = () => Boolean(drawing);
    map.on("click", (event) => drawing && addCorner(event));
    map.on("dblclick", () => drawing && stopDrawing(true));
    document.addEventListener(
      "keydown",
      (event) => {
        if (!drawing || !["Escape", "Enter", "Backspace"].includes(event.key)) return;
        if (event.key === "Backspace") {
          drawing.corners.pop();
          drawing.line.setLatLngs(drawing.corners.map(([x, y]) => [y, x]));
        } else stopDrawing(event.key === "Enter");
        event.preventDefault();
        event.stopImmediatePropagation();
      },
      true,
    );
    for (const kind of ["dragover", "drop"])
      document.addEventListener(kind, (event) => {
        event.preventDefault();
        const [file] = event.dataTransfer.files;
        if (kind === "drop" && file) open(file);
      });

    const input = el("input", {
      type: "file",
      accept: ".geojson,.json,.kml,application/geo+json",
      class: "unseen",
      tabindex: -1,
      "aria-label": "File with an outline",
      onchange: async () => {
        if (input.files.length) await open(input.files[0]);
        input.value = "";
      },
    });
    function save() {
      const features = areas.map(({ name, polygons }) => ({
        type: "Feature",
        properties: { name },
        geometry: {
          type: "MultiPolygon",
          coordinates: polygons.map((rings) => rings.map((ring) => [...ring, ring[0]])),
        },
      }));
      const text = JSON.stringify({ type: "FeatureCollection", features });
      Atlas.download("area.geojson", new Blob([text], { type: "application/geo+json" }));
    }
    const button = (text, onclick, main) =>
      el("button", { type: "button", class: main ? "plain main" : "plain", onclick }, text);
    function drawSection() {
      const { area } = page;
      part.remark.textContent = area ? area.name : "";
      if (drawing) {
        Atlas.redraw(
          part.body,
          el(
            "p",
            { class: "note" },
            "Click the corners on the map. Double click or Enter closes, Backspace takes one back, Escape gives up.",
          ),
          el(
            "p",
            { class: "buttons" },
            button("Done", () => stopDrawing(true), true),
            button("Give up", () => stopDrawing(false)),
          ),
          input,
        );
        return;
      }
      const chosen =
        areas.length > 1 &&
        el(
          "select",
          { "aria-label": "Area", onchange: (event) => choose(Number(event.target.value), true) },
          areas.map(({ name }, k) => el("option", { value: k, selected: k === area.at }, name)),
        );
      Atlas.redraw(
        part.body,
        el(
          "p",
          { class: "note" },
          area
            ? "All figures, charts and CSVs count what lies inside; tiles on the border count by their part inside: " +
                number(area.shares.reduce((sum, share) => sum + share, 0) * page.data.hectares) +
                " ha of tiles."
            : "Draw an outline, or drop a GeoJSON or KML anywhere on this page: figures then count what lies inside.",
        ),
        chosen || null,
        el(
          "p",
          { class: "buttons" },
          button("Draw an area", startDrawing),
          button("Open a file …", () => input.click()),
        ),
        area
          ? el(
              "p",
              { class: "note" },
              page.state.where === "area"
                ? link("count the whole place", () => page.update({ where: "place" }))
                : link("count this area", () => page.update({ where: "area" })),
              " · ",
              link("save GeoJSON", save),
              " · ",
              link("remove", forget),
            )
          : null,
        input,
      );
    }
    drawSection();
    let counted = page.state.where;
    return {
      root: part.root,
      draw: (state) => {
        part.root.hidden = state.labelling;
        if (counted !== state.where) drawSection();
        counted = state.where;
      },
    };
  });
})();
