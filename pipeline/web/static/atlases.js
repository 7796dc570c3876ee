/* The atlases that are there: their pages, and a live map of one. */
import { ask, by, make } from "./asking.js";
import { startLiveMap } from "./livemap.js";

export function startAtlases() {
  let live = null,
    open = null;
  const status = by("atlases-status");

  function entry(atlas) {
    const days = [...new Set(atlas.dates)];
    const links = make("div", { className: "row" });
    links.append(make("a", { className: "button", href: `#atlases/${encodeURIComponent(atlas.id)}` }, "Live map"));
    if (atlas.page)
      links.append(
        make("a", { className: "button", href: atlas.page, target: "_blank", rel: "noopener" }, "Open its page"),
      );
    return make(
      "li",
      { className: "card" },
      make("h3", {}, atlas.title),
      make("p", { className: "quiet" }, `${atlas.scenes.length} scenes, ${days.join(", ")}`),
      links,
    );
  }

  async function show(name) {
    let atlases = [];
    try {
      atlases = await ask("/atlases");
      status.textContent = atlases.length ? "" : "There is no atlas yet. Map some scenes under Run.";
    } catch (error) {
      status.textContent = error.message;
    }
    by("atlas-list").replaceChildren(...atlases.map(entry));
    const chosen = atlases.find((atlas) => atlas.id === name);
    by("live").hidden = !chosen;
    if (chosen && open !== chosen.id) {
      live = live || startLiveMap();
      live.open(chosen);
      open = chosen.id;
      by("live-title").focus();
    }
    if (chosen) live.fit();
  }

  return { show };
}
