/* Hectares of a polygon: drawn on the map, the map's view, or a file. */
import { ask, askJson, by, make, saveCsv, takeFiles } from "./asking.js";

const NEAR = 14; // pixels from the first corner that close a polygon

export function startAreas(map, current) {
  const status = by("area-status"),
    button = by("area-draw");
  let corners = null, // while drawing
    outline = null;

  function outlined(layer) {
    if (outline) outline.remove();
    outline = layer && layer.addTo(map);
  }

  function drawing(on) {
    corners = on ? [] : null;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Finish (or click the first corner)" : "Draw on the map";
    map.getContainer().classList.toggle("drawing", on);
    if (on) {
      status.textContent = "Click the corners one after the other.";
      map.doubleClickZoom.disable();
    } else map.doubleClickZoom.enable();
  }

  function corner(place) {
    if (!corners) return;
    const point = map.latLngToContainerPoint(place);
    if (corners.length > 2 && map.latLngToContainerPoint(corners[0]).distanceTo(point) < NEAR) finish();
    else {
      corners.push(place);
      outlined(L.polygon(corners, { interactive: false, color: "#c2185b", weight: 2, fillOpacity: 0.08 }));
    }
  }

  function finish() {
    const ring = corners;
    drawing(false);
    if (ring.length < 3) {
      status.textContent = "A polygon has three corners at least.";
      return;
    }
    const told = ring.map((place) => [place.lng, place.lat]);
    measure({ type: "Polygon", coordinates: [[...told, told[0]]] });
  }

  async function measure(polygon) {
    outlined(L.geoJSON(polygon, { interactive: false, style: { color: "#c2185b", weight: 2, fillOpacity: 0.08 } }));
    await show(() => askJson("/areas", { polygon, atlas: current().id }));
  }

  async function show(question) {
    status.textContent = "counting ...";
    try {
      const told = await question();
      status.textContent = told.rows.length ? "" : "No tile lies inside.";
      by("area-result").replaceChildren(...(told.rows.length ? table(told) : []));
    } catch (error) {
      status.textContent = error.message;
      by("area-result").replaceChildren();
    }
  }

  function table(told) {
    const adjusted = told.rows.some((row) => row.adjusted_hectares !== null);
    const figure = (text) => make("td", { className: "number" }, text);
    const number = (value) => Math.round(value).toLocaleString("en");
    const head = ["Class", "ha", "%", ...(adjusted ? ["adjusted ha", "±"] : [])];
    const titles = new Map(current().legend.map((entry) => [entry.label, entry.title]));
    const several = new Set(told.rows.map((row) => row.region)).size > 1;
    const groupOf = (row) => (several ? `${row.date} ${row.region}` : row.date);
    const line = (row) =>
      make(
        "tr",
        {},
        make("td", {}, titles.get(row.label) || row.label),
        ...[number(row.hectares), (100 * row.share).toFixed(1)].map(figure),
        ...(adjusted
          ? [row.adjusted_hectares, row.adjusted_ci].map((value) => figure(value === null ? "-" : number(value)))
          : []),
      );
    const bodies = [...new Set(told.rows.map(groupOf))].map((group) =>
      make(
        "tbody",
        {},
        make("tr", {}, make("th", { scope: "rowgroup", colSpan: head.length }, group)),
        ...told.rows.filter((row) => groupOf(row) === group).map(line),
      ),
    );
    const heads = head.map((text, at) => make("th", { scope: "col", className: at > 0 ? "number" : "" }, text));
    const save = make("button", { type: "button" }, "Save as CSV");
    const names = ["date", "region", "label", "tiles", "hectares", "share", "adjusted_hectares", "adjusted_ci"];
    save.addEventListener("click", () =>
      saveCsv("areas.csv", [names, ...told.rows.map((row) => names.map((name) => row[name]))]),
    );
    return [
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), ...bodies),
      told.assessment ? make("p", { className: "quiet" }, `Adjusted by ${told.assessment}.`) : null,
      save,
    ].filter(Boolean);
  }

  button.addEventListener("click", () => (corners ? finish() : drawing(true)));
  by("area-view").addEventListener("click", () => {
    const view = map.getBounds();
    const [w, s, e, n] = [view.getWest(), view.getSouth(), view.getEast(), view.getNorth()];
    measure({ type: "Polygon", coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] });
  });
  takeFiles(by("area-drop"), by("area-file"), (files) => {
    if (!files.length) return;
    const form = new FormData();
    form.append("file", files[0]);
    form.append("atlas", current().id);
    show(() => ask("/areas", { method: "POST", body: form }));
  });
  map.on("click", (event) => corner(event.latlng));
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key === "Escape" && corners) {
      drawing(false);
      outlined(null);
      status.textContent = "";
    }
  });
  return {
    drawing: () => corners !== null,
    clear() {
      drawing(false);
      outlined(null);
      status.textContent = "";
      by("area-result").replaceChildren();
    },
  };
}
