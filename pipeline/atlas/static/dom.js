/* Elements, numbers and dates as text, downloads. Text always goes in as text nodes, so names need no escaping. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg",
    MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

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
  const clear = (element, ...children) => {
    element.replaceChildren(...children.flat(Infinity).filter((c) => c != null && c !== false));
    return element;
  };

  /** Like clear(), and the control that had the keyboard's focus has it again, known by its name. */
  function redraw(element, ...children) {
    const focused = element.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    clear(element, ...children);
    if (focused) {
      const again = [...element.querySelectorAll("button, input")].find((control) => nameOf(control) === focused);
      if (again) again.focus();
    }
    return element;
  }
  const nameOf = (control) =>
    control.getAttribute("data-key") || control.getAttribute("aria-label") || control.textContent;

  /** A button that looks like a link. */
  const link = (text, onclick, title) => el("button", { class: "link", type: "button", onclick, title }, text);
  /** A section of the panel: heading with a quiet remark at its right. */
  function section(title, className) {
    const remark = el("span", { class: "remark" }),
      body = el("div");
    const root = el(
      "section",
      { class: "section " + (className || ""), "aria-label": title },
      el("h2", {}, el("span", {}, title), remark),
      body,
    );
    return { root, remark, body, heading: root.querySelector("h2 span") };
  }
  /** Signs of the tool buttons, as strokes in a 24 x 24 square. */
  const ICONS = {
    link:
      "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700l-1.500 1.500M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 " +
      "5.700 5.700l1.500-1.500",
    picture: "M12 4v11m-4.500-4.500L12 15l4.500-4.500M4 19h16",
    print: "M7 9V4h10v5M7 17H4v-7h16v7h-3M7 14h10v6H7z",
    sun: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
    moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
    keys: "M3 7h18v10H3zM7 10.500h.01M11 10.500h.01M15 10.500h.01M8 14h8",
    all: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  };
  const icon = (name) =>
    svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
  const toolButton = (name, title, onclick) =>
    el("button", { type: "button", class: "tool", title, "aria-label": title, onclick }, icon(name));
  const swatch = (colour) => el("i", { class: "swatch", style: { background: colour } });

  const number = (value, digits) =>
    value
      .toLocaleString("en", { minimumFractionDigits: digits || 0, maximumFractionDigits: digits || 0 })
      .replace(/,/g, "\u202f");
  const metres = (value) => number(value, Number.isInteger(value) ? 0 : 1) + "\u00a0m";
  const hectares = (value) => number(value, value !== 0 && Math.abs(value) < 10 ? 1 : 0) + "\u00a0ha";
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + number(Math.abs(value));
  /** A name as a part of a file's name. */
  const fileName = (text) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "");
  const share = (part, whole) => {
    const p = (100 * part) / (whole || 1);
    return (p > 0 && p < 0.1 ? "< 0.1" : p.toFixed(1)) + "\u00a0%";
  };
  function day(iso) {
    if (!iso || iso === Atlas.UNDATED) return "date unknown";
    if (Atlas.periods[iso]) return Atlas.periods[iso].short;
    const [year, month, date] = iso.split("-");
    return +date + " " + MONTHS[month - 1] + " " + year;
  }
  const degrees = (latitude, longitude) => {
    const wrapped = ((((longitude + 180) % 360) + 360) % 360) - 180;
    return (
      Math.abs(latitude).toFixed(4) +
      "° " +
      (latitude < 0 ? "S" : "N") +
      ", " +
      Math.abs(wrapped).toFixed(4) +
      "° " +
      (wrapped < 0 ? "W" : "E")
    );
  };

  function download(name, blob) {
    const url = URL.createObjectURL(blob),
      anchor = el("a", { href: url, download: name });
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
    Atlas.download(
      name,
      new Blob([rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }),
    );
  }

  /** Says something to screen readers. */
  function announce(text) {
    const live = document.getElementById("atlas-live");
    if (live) live.textContent = text;
  }

  Object.assign(Atlas, {
    /** What days of composites stand for, by day; the page fills it. */
    periods: {},
    el,
    svg,
    clear,
    redraw,
    link,
    section,
    swatch,
    icon,
    toolButton,
    number,
    metres,
    hectares,
    share,
    signed,
    fileName,
    day,
    degrees,
    download,
    isoDay: (iso) => (iso === Atlas.UNDATED ? "date unknown" : Atlas.periods[iso] ? Atlas.periods[iso].days : iso),
    csv,
    announce,
  });
})();
