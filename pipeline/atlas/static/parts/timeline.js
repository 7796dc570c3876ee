/* The timeline: dates at true spacing, play and blink; in Swipe and Change it holds two dates. */
(function () {
  "use strict";
  const { el, day, UNDATED } = Atlas;
  const LABEL_WIDTH = 78,
    PLAY_MS = 900,
    BLINK_MS = 700;

  Atlas.part(1000, function (page) {
    const { meta, map, container } = page,
      dates = meta.dates,
      root = el("div", { class: "timeline", role: "group", "aria-label": "Dates" });
    if (dates.length < 2) return null;
    container.append(root);
    L.DomEvent.disableClickPropagation(root);
    L.DomEvent.disableScrollPropagation(root);
    let playing = 0,
      blinking = 0,
      drawn = "";

    const play = () => {
      if (playing) {
        clearInterval(playing);
        playing = 0;
        page.update({});
        return;
      }
      playing = setInterval(() => page.update({ after: (page.state.after + 1) % dates.length }), PLAY_MS);
      page.update({});
    };
    const blink = () => page.update({ blink: !page.state.blink });
    page.togglePlay = () => {
      if (page.state.mode === "map") play();
    };
    page.toggleBlink = () => {
      if (page.state.mode === "swipe") blink();
    };

    function choose(date) {
      let { before, after } = page.state;
      if (page.state.mode === "map") {
        page.update({ after: date });
        return;
      }
      // The nearer of the two moves; they never cross.
      if (date < before || (date < after && date - before <= after - date)) before = date;
      else after = date;
      if (before === after) return;
      page.update({ before, after });
    }
    page.stepDate = (step) => {
      const next = page.state.after + step,
        floor = page.state.mode === "map" ? 0 : page.state.before + 1;
      if (next >= floor && next < dates.length) page.update({ after: next });
    };

    function draw(state) {
      if (state.mode !== "map" && playing) {
        clearInterval(playing);
        playing = 0;
      }
      if (state.blink !== Boolean(blinking)) {
        clearInterval(blinking);
        page.blinkPhase = false;
        blinking = state.blink
          ? setInterval(() => {
              page.blinkPhase = !page.blinkPhase;
              page.update({});
            }, BLINK_MS)
          : 0;
      }
      const here = new Set(page.datesInView()),
        key = [state.mode, state.before, state.after, state.blink, playing, root.clientWidth, ...here].join();
      if (key === drawn) return; // a control that is rebuilt between press and release loses the click
      drawn = key;
      const time = dates.map((iso) => Date.parse(iso));
      // A stop without a date stands a little before the first that has one.
      if (dates[0] === UNDATED) time[0] = time[1] - Math.max(1, 0.15 * (time[time.length - 1] - time[1]));
      const span = time[time.length - 1] - time[0],
        narrow = root.clientWidth < 450;
      const width = Math.max(150, root.clientWidth - (narrow ? 80 : 100) - (state.mode === "change" ? 0 : 42));
      const two = state.mode !== "map",
        isBefore = (d) => two && d === state.before,
        isAfter = (d) => d === state.after;
      // Two labels that would meet lean away from each other, the later one no further than the axis' margin allows.
      const gap = two ? (width * (time[state.after] - time[state.before])) / span : Infinity,
        lean = Math.max(0, LABEL_WIDTH + 8 - gap),
        right = Math.min(lean / 2, narrow ? 6 : 20);
      const shift = (d) => (isBefore(d) ? right - lean : isAfter(d) ? right : 0);
      const taken = [],
        wanted = dates
          .map((_, d) => d)
          .sort((a, b) => (isAfter(b) || isBefore(b)) - (isAfter(a) || isBefore(a)) || a - b),
        labelled = new Set();
      for (const d of wanted) {
        const x = (width * (time[d] - time[0])) / span + shift(d);
        if (isAfter(d) || isBefore(d) || taken.every((other) => Math.abs(other - x) > LABEL_WIDTH)) {
          labelled.add(d);
          taken.push(x);
        }
      }
      const stops = dates.map((iso, d) =>
        el(
          "button",
          {
            type: "button",
            "data-key": "d" + d,
            class:
              "stop" +
              (isBefore(d) ? " before" : "") +
              (isAfter(d) ? (two ? " after" : " only") : "") +
              (labelled.has(d) ? " labelled" : "") +
              (here.has(d) ? "" : " elsewhere"),
            style: { left: (100 * (time[d] - time[0])) / span + "%" },
            title: day(iso),
            "aria-label": day(iso) + (isBefore(d) ? ", before" : isAfter(d) ? (two ? ", after" : ", shown") : ""),
            "aria-pressed": String(isBefore(d) || isAfter(d)),
            onclick: () => choose(d),
          },
          el("span", lean && (isBefore(d) || isAfter(d)) ? { style: { left: shift(d) + "px" } } : {}, day(iso)),
        ),
      );
      const button =
        state.mode === "map"
          ? dates.length > 2
            ? el(
                "button",
                {
                  type: "button",
                  class: "play",
                  "data-key": "play",
                  "aria-label": playing ? "Pause" : "Play",
                  title: playing ? "Pause" : "Play",
                  onclick: play,
                },
                playing ? "❚❚" : "►",
              )
            : null
          : state.mode === "swipe"
            ? el(
                "button",
                {
                  type: "button",
                  class: "play",
                  "data-key": "blink",
                  "aria-label": "Blink between the two dates",
                  title: "Blink between the two dates",
                  "aria-pressed": String(state.blink),
                  onclick: blink,
                },
                "◐",
              )
            : null;
      Atlas.redraw(root, button, el("div", { class: "axis" }, stops));
    }
    map.on("resize", () => draw(page.state));
    if (meta.planes.length > 1) map.on("moveend", () => draw(page.state));
    return { draw };
  });
})();
