/* Jobs: scenes in, an atlas out; progress as the server tells it. */
import { ask, askJson, by, make, sendForm, takeFiles } from "./asking.js";

const OPEN = ["queued", "running"];

export function startRun() {
  let files = [];
  const status = by("run-status"),
    watched = new Map(); // job id -> EventSource

  function models(cards, usual) {
    const names = (kind) => cards.filter((card) => card.kind === kind).map((card) => card.name);
    const fill = (list, values, chosen) =>
      list.replaceChildren(...values.map((name) => make("option", { value: name, selected: name === chosen }, name)));
    fill(by("run-model"), names("tile"), usual);
    fill(by("run-cover"), [...names("cover"), "none"]);
  }

  takeFiles(by("run-drop"), by("run-files"), (chosen) => {
    files = chosen;
    by("run-chosen").textContent = files.map((file) => file.name).join(", ");
  });

  function options() {
    const told = {
      title: by("run-name").value.trim(),
      model: by("run-model").value,
      cover: by("run-cover").value,
      bands: by("run-bands").value.trim(),
      offset: by("run-offset").value,
      tci_max: by("run-tci").value,
      assume_crs: by("run-crs").value,
    };
    const given = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ""));
    return by("run-smooth").checked ? { ...given, smooth: true } : given;
  }

  by("run-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const folder = by("run-folder").value.trim(),
      upload = by("run-upload");
    if (!files.length && !folder) {
      status.textContent = "Choose files, or name a folder on the server.";
      return;
    }
    status.textContent = files.length ? "sending ..." : "";
    try {
      if (files.length) {
        const form = new FormData();
        for (const [name, value] of Object.entries(options())) form.append(name, value);
        for (const file of files) form.append("files", file, file.name);
        upload.hidden = false;
        await sendForm("/jobs", form, (share) => (upload.value = share));
      } else await askJson("/jobs", { ...options(), folder });
      status.textContent = "";
      files = [];
      by("run-chosen").textContent = "";
    } catch (error) {
      status.textContent = error.message;
    }
    upload.hidden = true;
    await show();
  });

  function button(text, action) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", async () => {
      try {
        await action();
      } catch (error) {
        status.textContent = error.message;
      }
      await show();
    });
    return made;
  }

  function entry(job) {
    const line = make("p", { className: "quiet", role: "status" }),
      bar = make("progress", { max: 1, "aria-label": `Progress of ${job.title}` }),
      buttons = make("div", { className: "row" });
    const remove = () => ask(`/jobs/${job.id}`, { method: "DELETE" });
    if (OPEN.includes(job.state)) buttons.append(button("Cancel", remove));
    else buttons.append(button("Delete", remove));
    if (["interrupted", "failed"].includes(job.state))
      buttons.append(button("Go on", () => ask(`/jobs/${job.id}/resume`, { method: "POST" })));
    if (job.atlas) buttons.append(make("a", { className: "button", href: `#atlases/${job.atlas}` }, "Open the atlas"));
    bar.hidden = !OPEN.includes(job.state);
    tell(job.progress.tiles, bar, line);
    if (OPEN.includes(job.state)) watch(job, bar, line);
    const refused = Object.entries(job.result.refused || {});
    return make(
      "li",
      { className: "card", "data-job": job.id },
      make("h3", {}, job.title),
      make("p", {}, job.state),
      job.reason ? make("p", { className: "reason" }, job.reason) : null,
      bar,
      line,
      refused.length ? make("ul", {}, ...refused.map(([name, why]) => make("li", {}, `${name}: ${why}`))) : null,
      buttons,
    );
  }

  function tell(event, bar, line) {
    if (!event) {
      bar.removeAttribute("value"); // nobody knows how much there is
      return;
    }
    bar.value = event.of ? event.done / event.of : 1;
    const rate = Math.round(event.per_second).toLocaleString("en");
    line.textContent = `${event.done.toLocaleString("en")} of ${event.of.toLocaleString("en")} tiles, ${rate} a second`;
  }

  function watch(job, bar, line) {
    const source = new EventSource(`/jobs/${job.id}/events`);
    watched.set(job.id, source);
    source.addEventListener("progress", (message) => {
      const event = JSON.parse(message.data);
      if (event.event === "tiles") tell(event, bar, line);
      if (event.event === "scene") line.textContent = `${event.scene}: ${event.status}`;
      if (event.event === "stage") line.textContent = event.stage;
    });
    source.addEventListener("state", (message) => {
      if (JSON.parse(message.data).state !== job.state) show();
    });
  }

  function rest() {
    for (const source of watched.values()) source.close();
    watched.clear();
  }

  async function show() {
    rest();
    try {
      const jobs = await ask("/jobs");
      rest();
      by("job-list").replaceChildren(...jobs.map(entry));
    } catch (error) {
      status.textContent = error.message;
    }
  }

  addEventListener("hashchange", () => !location.hash.startsWith("#run") && rest());
  return { models, show };
}
