/* Pictures to answers: drop, browse, paste; cards with bars, an overlay for larger pictures, CSV. */
import { ask, bars, by, make, percent, saveCsv, swatch, takeFiles } from "./asking.js";

const MOST_FILES = 50,
  MOST_BYTES = 90e6;

export function startClassify() {
  const answers = []; // every entry of the server, in order
  const colours = new Map();
  const status = by("classify-status");

  function models(stored, usual) {
    const cards = stored.filter((card) => card.kind === "tile" && card.input.bands.length === 3);
    by("classify-model").replaceChildren(
      ...cards.map((card) => make("option", { value: card.name, selected: card.name === usual }, card.name)),
    );
    const takes = () => {
      const card = cards.find((one) => one.name === by("classify-model").value);
      const squares = card && `Squares of ${card.input.size} pixels at ${card.input.gsd} m a pixel`;
      by("classify-takes").textContent = card ? `${squares}; larger pictures are labelled patch by patch.` : "";
    };
    by("classify-model").addEventListener("change", takes);
    takes();
    for (const card of cards)
      for (const entry of (card.legend && card.legend.classes) || []) colours.set(entry.label, entry.colour);
  }

  /** Groups that fit into one request each. */
  function groups(files) {
    const found = [[]];
    let bytes = 0;
    for (const file of files) {
      const last = found[found.length - 1];
      if (last.length && (last.length === MOST_FILES || bytes + file.size > MOST_BYTES)) {
        found.push([file]);
        bytes = file.size;
      } else {
        last.push(file);
        bytes += file.size;
      }
    }
    return found.filter((group) => group.length);
  }

  async function take(files) {
    if (!files.length) return;
    let done = 0;
    for (const group of groups(files)) {
      status.textContent = `asking about ${done + 1} to ${done + group.length} of ${files.length} ...`;
      const form = new FormData();
      // Numbers keep files of one name apart; the server sends them back as names.
      group.forEach((file, at) => form.append("files", file, `${at}:${file.name.replace(/[\\/]/g, "_")}`));
      try {
        const told = await ask(`/classify?model=${encodeURIComponent(by("classify-model").value)}`, {
          method: "POST",
          body: form,
        });
        group.forEach((file, at) => showPicture(file, told.filter((entry) => entry.image.startsWith(`${at}:`))));
        done += group.length;
      } catch (error) {
        status.textContent = error.message;
        return;
      }
    }
    status.textContent = `${done} picture${done === 1 ? "" : "s"} answered`;
  }

  async function showPicture(file, entries) {
    for (const entry of entries) entry.image = file.name;
    answers.push(...entries);
    by("classify-csv").disabled = by("classify-clear").disabled = false;
    const card = make("li", { className: "card" }, make("h3", {}, file.name));
    by("classify-answers").prepend(card);
    if (entries[0].error) card.append(make("p", { className: "reason" }, entries[0].error));
    else if (entries.length === 1) single(card, file, entries[0]);
    else await overlay(card, file, entries);
  }

  function single(card, file, entry) {
    const image = make("img", { className: "thumb", alt: "" });
    image.onerror = () => image.remove(); // a TIFF, which browsers do not show
    image.src = URL.createObjectURL(file);
    const second = Object.entries(entry.probabilities).sort((a, b) => b[1] - a[1])[1];
    const words = make("div", {}, make("p", { className: "answer" }, swatch(colours.get(entry.label)), entry.label));
    const sure = `${percent(entry.confidence)}, then ${second[0]} ${percent(second[1])}`;
    const nearest = `unfamiliar: unlike the training data, nearest ${entry.best_class}`;
    words.append(make("p", { className: "quiet" }, sure));
    if (entry.unfamiliar) words.append(make("p", { className: "note" }, nearest));
    card.append(make("div", { className: "top" }, image, words), bars(entry.probabilities, colours));
    card.append(make("p", { className: "quiet" }, entry.model));
  }

  /** The picture with its patches in the legend's colours, the shares of classes, and a patch's answer on demand. */
  async function overlay(card, file, entries) {
    card.classList.add("large");
    const size = Math.min(...entries.filter((entry) => entry.x > 0 || entry.y > 0).map((entry) => entry.x || entry.y));
    const width = Math.max(...entries.map((entry) => entry.x)) + size,
      height = Math.max(...entries.map((entry) => entry.y)) + size;
    const told = `${entries.length} patches of ${file.name}`;
    const canvas = make("canvas", { width, height, role: "img", "aria-label": told });
    const context = canvas.getContext("2d");
    const picture = await createImageBitmap(file).catch(() => null);
    const opacity = make("input", { type: "range", min: 0, max: 100, value: 45 });
    const chosen = make("p", { role: "status", className: "quiet" }, "Click a patch to see its answer.");

    function draw() {
      context.globalAlpha = 1;
      context.clearRect(0, 0, width, height);
      if (picture) context.drawImage(picture, 0, 0);
      context.globalAlpha = picture ? opacity.value / 100 : 1;
      for (const entry of entries) {
        context.fillStyle = colours.get(entry.label) || "#888888";
        context.fillRect(entry.x, entry.y, size, size);
      }
    }
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width,
        y = ((event.clientY - box.top) / box.height) * height;
      const entry = entries.find((one) => x >= one.x && x < one.x + size && y >= one.y && y < one.y + size);
      if (entry) chosen.textContent = `${entry.x}, ${entry.y}: ${entry.label} ${percent(entry.confidence)}`;
    });
    opacity.addEventListener("input", draw);
    const shares = {};
    for (const entry of entries) shares[entry.label] = (shares[entry.label] || 0) + 1 / entries.length;
    card.append(
      make("div", { className: "overlay" }, canvas),
      make("label", { className: "row" }, "Classes over the picture ", opacity),
      chosen,
      bars(shares, colours, 12),
      make("p", { className: "quiet" }, `${entries.length} patches, ${entries[0].model}`),
    );
    draw();
  }

  by("classify-csv").addEventListener("click", () => {
    const good = answers.filter((entry) => !entry.error);
    const labels = [...new Set(good.flatMap((entry) => Object.keys(entry.probabilities)))];
    const facts = ["image", "x", "y", "label", "confidence", "unfamiliar", "model"];
    const head = [...facts, ...labels.map((label) => `p_${label}`)];
    const rows = good.map((entry) => [
      ...facts.map((name) => entry[name]),
      ...labels.map((label) => entry.probabilities[label]),
    ]);
    saveCsv("answers.csv", [head, ...rows]);
  });
  by("classify-clear").addEventListener("click", () => {
    answers.length = 0;
    by("classify-answers").replaceChildren();
    by("classify-csv").disabled = by("classify-clear").disabled = true;
    status.textContent = "";
  });
  takeFiles(by("classify-drop"), by("classify-files"), take);
  addEventListener("paste", (event) => {
    if (!by("classify").hidden) take([...event.clipboardData.files]);
  });
  return { models, show() {} };
}
