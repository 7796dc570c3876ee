/* Shows one view at a time; the address says which. */
import { ask, askJson, by, onLocked } from "./asking.js";
import { startAtlases } from "./atlases.js";
import { startClassify } from "./classify.js";
import { startRun } from "./run.js";

const VIEWS = ["classify", "atlases", "run"];
const views = {};
let locked = false;

function chosen() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return VIEWS.includes(name) ? [name, rest.map(decodeURIComponent)] : ["classify", []];
}

function show() {
  const [name, rest] = chosen();
  for (const view of VIEWS) by(view).hidden = locked || view !== name;
  by("gate").hidden = !locked;
  for (const link of document.querySelectorAll("nav a[data-view]"))
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  if (!locked) views[name].show(...rest);
}

onLocked(() => {
  if (locked) return;
  locked = true;
  show();
  by("gate-token").focus();
});

by("gate-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await askJson("/session", { token: by("gate-token").value });
    locked = false;
    by("gate-token").value = "";
    await begin();
  } catch (error) {
    by("gate-title").textContent = error.message;
  }
});

async function begin() {
  let models = [];
  try {
    models = await ask("/models");
  } catch (error) {
    if (error.status === 401) return;
    by("classify-status").textContent = error.message;
  }
  const health = await ask("/health").catch(() => null);
  by("served").textContent = health ? `${health.model}, ${health.engine}, version ${health.version}` : "";
  const usual = health ? health.model : (models[0] || {}).name;
  views.classify.models(models, usual);
  views.run.models(models, usual);
  show();
  document.body.dataset.ready = "yes";
}

views.classify = startClassify();
views.atlases = startAtlases();
views.run = startRun();
addEventListener("hashchange", show);
begin();
