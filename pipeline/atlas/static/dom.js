/* Elements, numbers and dates as text, downloads. Text always goes in as text nodes, so names need no escaping. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg", MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value == null || value === false) continue;
      if (name.startsWith("on")) element[name] = value;
      else if (name === "style" && typeof value === "object") Object.assign(element.style, value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) if (child != null && child !== false) element.append(child);
    return element;
  }
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const clear = (element, ...children) => { element.replaceChildren(...children.flat(Infinity).filter((c) => c != null && c !== false)); return element; };

  /** A button that looks like a link. */
  const link = (text, onclick, title) => el("button", { class: "link", type: "button", onclick, title }, text);
  /** A section of the panel: heading with a quiet remark at its right. */
  function section(title, className) {
    const remark = el("span", { class: "remark" }), body = el("div");
    const root = el("section", { class: "section " + (className || ""), "aria-label": title }, el("h2", {}, el("span", {}, title), remark), body);
    return { root, remark, body, heading: root.querySelector("h2 span") };
  }
  const swatch = (colour) => el("i", { class: "swatch", style: { background: colour } });

  const number = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits || 0, maximumFractionDigits: digits || 0 }).replace(/,/g, "\u2009");
  const hectares = (value) => number(value, value !== 0 && Math.abs(value) < 10 ? 1 : 0) + " ha";
  const share = (part, whole) => { const p = 100 * part / (whole || 1); return (p > 0 && p < 0.1 ? "< 0.1" : p.toFixed(1)) + " %"; };
  function day(iso) {
    const [year, month, date] = iso.split("-");
    return +date + " " + MONTHS[month - 1] + " " + year;
  }
  const degrees = (latitude, longitude) => {
    const wrapped = ((longitude + 180) % 360 + 360) % 360 - 180;
    return Math.abs(latitude).toFixed(4) + "° " + (latitude < 0 ? "S" : "N") + ", " + Math.abs(wrapped).toFixed(4) + "° " + (wrapped < 0 ? "W" : "E");
  };

  function download(name, blob) {
    const url = URL.createObjectURL(blob), anchor = el("a", { href: url, download: name });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
  /** Saves rows of cells; quotes what needs it, and disarms cells that a spreadsheet would run as formulas. */
  function csv(name, rows) {
    const cell = (value) => {
      let text = String(value);
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
      return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    };
    download(name, new Blob([rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
  }

  /** Says something to screen readers. */
  function announce(text) {
    const live = document.getElementById("atlas-live");
    if (live) live.textContent = text;
  }

  Object.assign(Atlas, { el, svg, clear, link, section, swatch, number, hectares, share, day, degrees, download, csv, announce });
})();
