/* Asks the server, and makes elements; text is always text, never markup. */

/** An element with properties, data-* and aria-* attributes, and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const by = (id) => document.getElementById(id);

/** A refusal, in the server's words. */
export class Refusal extends Error {
  constructor(status, told) {
    super((told && told.detail) || `the server answered ${status}`);
    this.status = status;
  }
}

let knock = null; // what to do when the server asks for its token

export function onLocked(action) {
  knock = action;
}

/** The JSON that a call answers. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refusal(0, { detail: "the server does not answer; is it running?" });
  }
  return answered(answer.status, await answer.text());
}

function answered(status, text) {
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    told = null;
  }
  if (status === 401 && knock) knock();
  if (status < 200 || status > 299) throw new Refusal(status, told);
  return told;
}

export const askJson = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Sends a form and tells how much of it has gone. */
export function sendForm(path, form, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(new Refusal(0, { detail: "the server broke off; perhaps the files are too large" }));
    request.onload = () => {
      try {
        resolve(answered(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    };
    request.send(form);
  });
}

/** Files dropped on an element, or chosen with its input. */
export function takeFiles(zone, input, take) {
  const over = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.addEventListener("dragenter", over);
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
}

/** Lets the person save rows as CSV; a cell that a spreadsheet would run is told as text. */
export function saveCsv(name, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

export const percent = (share) => `${Math.round(100 * share)} %`;

/** A list of classes with bars. */
export function bars(shares, colours, most = 5) {
  const list = make("dl", { className: "bars" });
  for (const [label, share] of Object.entries(shares).sort((a, b) => b[1] - a[1]).slice(0, most)) {
    const fill = make("i");
    fill.style.width = `${100 * share}%`;
    if (colours.get(label)) fill.style.background = colours.get(label);
    const bar = make("div", { className: "bar", "aria-hidden": "true" }, fill);
    list.append(make("dt", {}, label), make("dd", {}, bar), make("dd", { className: "share" }, percent(share)));
  }
  return list;
}

export function swatch(colour) {
  const mark = make("span", { className: "swatch", "aria-hidden": "true" });
  mark.style.background = colour || "transparent";
  return mark;
}
