/* The timeline: dates at true spacing, play and blink; in Swipe and Change it holds two dates. */
(function () {
  "use strict";
  const { el, day, UNDATED } = Atlas;
  const LABEL_WIDTH = 78,
    PLAY_MS = 900,
    BLINK_MS = 700;

  Atlas.part(1000, function (page) {
    const { meta, map, container } = page,
      root = el("div", { class: "timeline", role: "group", "aria-label": "Dates" });
    if (meta.dates.length < 2) return null;
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
      playing = setInterval(() => {
        const dates = page.datesHere(),
          at = dates.indexOf(page.state.after);
        page.update({ after: dates[(at + 1) % dates.length] });
      }, PLAY_MS);
      page.update({});
    };
    const blink = () => page.update({ blink: !page.state.blink });
    page.togglePlay = () => {
      if (page.state.mode === "map") play();
    };
    page.toggleBlink = () => {
      if (page.state.mode === "swipe") blink();
    };

    page.stepDate = (step) => {
      const dates = page
          .datesHere()
          .filter((date) => page.state.mode === "map" || page.comparable(page.state.before, date)),
        next = dates[dates.indexOf(page.state.after) + step];
      if (next != null && (page.state.mode === "map" || next > page.state.before)) page.update({ after: next });
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
      const here = page.datesHere();
      root.hidden = here.length < 2 || state.labelling;
      if (root.hidden) {
        drawn = "";
        return;
      }
      const key = [state.mode, state.before, state.after, state.blink, playing, root.clientWidth, ...here].join();
      if (key === drawn) return; // a control that is rebuilt between press and release loses the click
      drawn = key;
      const first = here[0],
        last = here[here.length - 1],
        time = meta.dates.map((iso) => Date.parse(iso));
      // A stop without a date stands a little before the first that has one.
      if (meta.dates[first] === UNDATED)
        time[first] = time[here[1]] - Math.max(1, 0.15 * (time[last] - time[here[1]]));
      const span = time[last] - time[first],
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
        wanted = here.slice().sort((a, b) => (isAfter(b) || isBefore(b)) - (isAfter(a) || isBefore(a)) || a - b),
        labelled = new Set();
      for (const d of wanted) {
        const x = (width * (time[d] - time[first])) / span + shift(d);
        if (isAfter(d) || isBefore(d) || taken.every((other) => Math.abs(other - x) > LABEL_WIDTH)) {
          labelled.add(d);
          taken.push(x);
        }
      }
      const stops = here.map((d) =>
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
              (two &&
              !isBefore(d) &&
              !isAfter(d) &&
              !page.comparable(Math.min(d, state.after), Math.max(d, state.after))
                ? " elsewhere"
                : ""),
            style: { left: (100 * (time[d] - time[first])) / span + "%" },
            title: day(meta.dates[d]),
            "aria-label":
              day(meta.dates[d]) + (isBefore(d) ? ", before" : isAfter(d) ? (two ? ", after" : ", shown") : ""),
            "aria-pressed": String(isBefore(d) || isAfter(d)),
            onclick: () => page.showDate(d),
          },
          el(
            "span",
            lean && (isBefore(d) || isAfter(d)) ? { style: { left: shift(d) + "px" } } : {},
            day(meta.dates[d]),
          ),
        ),
      );
      const button =
        state.mode === "map"
          ? here.length > 2
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
    return { draw };
  });
})();
