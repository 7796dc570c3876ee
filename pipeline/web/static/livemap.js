/* Map tiles of the server's rasters, with legend, swipe, inspector and search. */
import { ask, bars, by, make, swatch } from "./asking.js";
import { startAreas } from "./areas.js";

const TITLES = { landcover: "Tiles", cover: "Cover", truecolour: "True colour", confidence: "Confidence" };
const ALL = "*"; // every scene of the atlas at once
const COARSE_BELOW = 8; // zoom from which 1:110 m borders would only mislead
const BORDERS = { color: "#6b7680", weight: 1, fillOpacity: 0.04 },
  OUTLINE = { color: "#000000", weight: 2, fill: false };

export function startLiveMap() {
  const map = L.map("live-map", { zoomControl: true, maxZoom: 18, minZoom: 2, worldCopyJump: true });
  map.attributionControl.setPrefix(false);
  map.createPane("left").style.zIndex = 250;
  map.createPane("right").style.zIndex = 260;
  let atlas = null,
    shown = [],
    marked = null,
    legends = 0; // how often they were asked for; the last one counts
  const colours = new Map();
  const areas = startAreas(map, () => atlas);
  window.liveMap = map;

  fetch("/static/countries.geojson")
    .then((answer) => answer.json())
    .then((countries) => {
      const borders = L.geoJSON(countries, { interactive: false, style: BORDERS });
      const show = () => (map.getZoom() < COARSE_BELOW ? borders.addTo(map) : borders.remove());
      map.on("zoomend", show);
      show();
    })
    .catch(() => {}); // only a background

  function address(scene, layer) {
    return `/map/${encodeURIComponent(scene)}/${layer}/{z}/{x}/{y}.png?atlas=${encodeURIComponent(atlas.id)}`;
  }

  function layers(scene, layer, pane) {
    const scenes = scene === ALL ? atlas.scenes : [scene];
    const opacity = by("live-opacity").value / 100;
    return scenes.map((one) =>
      L.tileLayer(address(one, layer), {
        pane,
        opacity,
        maxZoom: 18,
        className: layer === "truecolour" ? "" : "crisp",
        attribution: "Contains modified Copernicus Sentinel data",
      }),
    );
  }

  function draw() {
    for (const layer of shown) layer.remove();
    shown = layers(by("live-scene").value, by("live-layer").value, "left");
    if (by("live-swipe").checked) shown.push(...layers(by("live-right").value, by("live-right-layer").value, "right"));
    for (const layer of shown) layer.addTo(map);
    clip();
    showLegends();
  }

  /** What the colours of the shown layers mean, each told once. */
  async function showLegends() {
    const swiped = by("live-swipe").checked,
      asked = [
        [by("live-layer").value, by("live-scene").value],
        ...(swiped ? [[by("live-right-layer").value, by("live-right").value]] : []),
      ],
      scenes = new Map(asked.map(([layer, scene]) => [layer, scene === ALL ? atlas.scenes[0] : scene])),
      turn = (legends += 1);
    const parts = await Promise.all(
      [...scenes].map(async ([layer, scene]) => {
        const path = `/map/${encodeURIComponent(scene)}/${layer}/tilejson.json?atlas=${encodeURIComponent(atlas.id)}`,
          { legend } = await ask(path).catch(() => ({ legend: [] }));
        const entries = legend.map((entry) => make("li", {}, swatch(entry.colour), entry.title));
        return [
          scenes.size > 1 && entries.length ? make("p", { className: "quiet" }, TITLES[layer]) : null,
          make("ul", { className: "legend" }, ...entries),
        ];
      }),
    );
    if (turn === legends) by("live-legend").replaceChildren(...parts.flat().filter(Boolean));
  }

  /** Shows the right pane right of the divider only. */
  function clip() {
    const pane = map.getPane("right"),
      size = map.getSize();
    const from = map.containerPointToLayerPoint([(size.x * by("live-divider").value) / 100, 0]),
      to = map.containerPointToLayerPoint(size);
    pane.style.clipPath =
      `polygon(${from.x}px ${from.y}px, ${to.x}px ${from.y}px, ${to.x}px ${to.y}px, ${from.x}px ${to.y}px)`;
    const left = map.containerPointToLayerPoint([0, 0]);
    map.getPane("left").style.clipPath = by("live-swipe").checked
      ? `polygon(${left.x}px ${left.y}px, ${from.x}px ${left.y}px, ${from.x}px ${to.y}px, ${left.x}px ${to.y}px)`
      : "none";
  }

  function option(value, text) {
    return make("option", { value }, text);
  }

  function open(chosen) {
    atlas = chosen;
    by("live-title").textContent = atlas.title;
    const named = () => [
      ...atlas.scenes.map((scene, at) => option(scene, `${atlas.dates[at]}  ${scene}`)),
      ...(atlas.scenes.length > 1 ? [option(ALL, "all scenes")] : []),
    ];
    const kinds = () => atlas.layers.map((layer) => option(layer, TITLES[layer]));
    by("live-scene").replaceChildren(...named());
    by("live-right").replaceChildren(...named());
    by("live-right").selectedIndex = Math.min(1, atlas.scenes.length - 1);
    by("live-layer").replaceChildren(...kinds());
    by("live-right-layer").replaceChildren(...kinds());
    colours.clear();
    for (const entry of atlas.legend) colours.set(entry.label, entry.colour);
    const [west, south, east, north] = atlas.bbox;
    map.fitBounds([[south, west], [north, east]]);
    areas.clear();
    draw();
  }

  async function inspect(place) {
    if (!atlas || areas.drawing()) return;
    const box = [place.lng, place.lat, place.lng, place.lat].map((value) => value.toFixed(6)).join(",");
    const scenes = by("live-scene").value === ALL ? atlas.scenes : [by("live-scene").value];
    if (by("live-swipe").checked && by("live-right").value !== ALL) scenes.push(by("live-right").value);
    const panel = by("live-inspector");
    const parts = [];
    if (marked) marked.remove();
    for (const scene of new Set(scenes)) {
      const query = `bbox=${box}&limit=1&atlas=${encodeURIComponent(atlas.id)}`;
      const told = await ask(`/scenes/${encodeURIComponent(scene)}/tiles?${query}`).catch(() => ({ features: [] }));
      if (!told.features.length) continue;
      const [feature] = told.features;
      marked = L.geoJSON(feature, { interactive: false, style: OUTLINE }).addTo(map);
      parts.push(tile(scene, feature.properties));
    }
    panel.replaceChildren(...(parts.length ? parts : [make("p", {}, "No tile here.")]));
  }

  function tile(scene, facts) {
    const shares = {};
    for (const [name, value] of Object.entries(facts))
      if (name.startsWith("p_") && value !== null) shares[name.slice(2)] = value;
    return make(
      "div",
      {},
      make("p", { className: "answer" }, swatch(colours.get(facts.label)), facts.label),
      make("p", { className: "quiet" }, `tile ${facts.tile_id}, ${scene}, ${String(facts.acquired).slice(0, 10)}`),
      bars(shares, colours),
    );
  }

  by("live-search").addEventListener("submit", async (event) => {
    event.preventDefault();
    const found = await ask(`/places?q=${encodeURIComponent(by("live-query").value)}`).catch(() => []);
    if (!found.length) {
      by("live-inspector").replaceChildren(make("p", {}, "Nothing of that name is known here."));
      return;
    }
    const [west, south, east, north] = found[0].bbox;
    map.fitBounds([[south, west], [north, east]]);
    by("live-inspector").replaceChildren(make("p", {}, `${found[0].name} (${found[0].kind})`));
  });
  by("live-swipe").addEventListener("change", () => {
    for (const part of document.querySelectorAll(".swiped")) part.hidden = !by("live-swipe").checked;
    draw();
  });
  for (const id of ["live-scene", "live-layer", "live-right", "live-right-layer"])
    by(id).addEventListener("change", draw);
  by("live-opacity").addEventListener("input", () => {
    for (const layer of shown) layer.setOpacity(by("live-opacity").value / 100);
  });
  by("live-divider").addEventListener("input", clip);
  map.on("move zoom resize viewreset", clip);
  map.on("click", (event) => inspect(event.latlng));
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === map.getContainer()) inspect(map.getCenter());
  });
  return { open, fit: () => map.invalidateSize() };
}
