/* The view as a picture, as a report on paper, as an address. */
(function () {
  "use strict";
  const { el, hectares, share, number } = Atlas;
  const WIDTH = 1280,
    HEIGHT = 860;

  Atlas.part(1400, function (page) {
    const { map, meta, classes, data } = page;
    const tool = (icon, name, onclick) => page.tools.append(Atlas.toolButton(icon, name, onclick));
    const paper = el("section", { class: "report", "aria-hidden": "true" });
    document.body.append(paper);

    const table = (head, rows) =>
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((name) => el("th", {}, name)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              {},
              row.map((cell) => el("td", {}, cell)),
            ),
          ),
        ),
      );

    function classTable() {
      const areas = page.areas("after"),
        order = classes.map((_, k) => k).sort((a, b) => areas[b] - areas[a]),
        total = order.reduce((sum, k) => sum + areas[k], 0);
      return [
        el("h2", {}, "Classes"),
        table(
          ["Class", "hectares", "share"],
          order
            .filter((k) => areas[k])
            .map((k) => [classes[k].title, hectares(areas[k] * data.hectares), share(areas[k], total)]),
        ),
      ];
    }
    function changeTables() {
      const { state } = page;
      if (state.mode !== "change" || !data.details) return [];
      const sums = data.transitions(state.before, state.after, state.threshold, page.scope()),
        count = classes.length,
        flows = [...sums.matrix.keys()]
          .filter((at) => sums.matrix[at] && Math.floor(at / count) !== at % count)
          .sort((a, b) => sums.matrix[b] - sums.matrix[a]);
      return [
        el("h2", {}, "Change"),
        el(
          "p",
          {},
          hectares(sums.changed) +
            " changed, of which about " +
            hectares(sums.falseChanges) +
            " are expected to be false; " +
            hectares(sums.undecided) +
            " are undecided, " +
            hectares(sums.stable) +
            " stable.",
        ),
        table(
          ["From", "to", "hectares", "expected false"],
          flows
            .slice(0, 20)
            .map((at) => [
              classes[Math.floor(at / count)].title,
              classes[at % count].title,
              hectares(sums.matrix[at]),
              hectares(sums.doubt[at]),
            ]),
        ),
        table(
          ["Class", "lost", "gained", "net"],
          classes
            .map((entry, k) => [entry.title, sums.lost[k], sums.gained[k], sums.net[k]])
            .filter(([, lost, gained]) => lost || gained)
            .map(([title, lost, gained, net]) => [
              title,
              hectares(lost),
              hectares(gained),
              Atlas.signed(net) + " ha",
            ]),
        ),
      ];
    }
    /** Fills the report: sheet, figures, method, accuracy, source. */
    function fill() {
      const scope = page.scope(),
        { model } = meta,
        found = Atlas.accuracies(model.metrics, []).map(
          ({ name, value }) => name + " " + (100 * value).toFixed(1) + " %",
        );
      const sheet = Atlas.sheet.draw(page, WIDTH, HEIGHT);
      sheet.setAttribute("aria-label", "Map with key");
      Atlas.clear(
        paper,
        sheet,
        classTable(),
        changeTables(),
        el("h2", {}, "How to read these figures"),
        el(
          "p",
          {},
          "Counted: " +
            scope.name +
            ". Each square of " +
            Atlas.metres(meta.tile) +
            " carries the one class that the model " +
            (model.name || "") +
            " finds likeliest; hectares are counts of squares" +
            (scope.name === page.scope().name && page.state.where === "area"
              ? ", those on the outline by their part inside"
              : "") +
            ", not surveyed areas. " +
            (found.length ? "Measured: " + found.join("; ") + ". " : "") +
            (meta.assessment
              ? "A labelled random sample was assessed; see About this map."
              : "No labelled random sample was assessed, so no interval can be given: run " +
                "sample and assess for one."),
        ),
        el(
          "p",
          {},
          meta.attribution +
            ". Made by landcover-atlas " +
            (meta.software || "") +
            ". " +
            location.href.slice(0, 300),
        ),
      );
    }
    page.exportPicture = () =>
      new Promise((resolve) => Atlas.sheet.draw(page, WIDTH, HEIGHT).toBlob(resolve, "image/png"));
    tool("print", "Print a report of this view", () => window.print());
    tool("picture", "Save the view as PNG", async () =>
      Atlas.download(
        "land-cover-" + Atlas.fileName(Atlas.sheet.datesOf(page)) + ".png",
        await page.exportPicture(),
      ),
    );
    tool("link", "Copy the address of this view", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        page.notice("The address of this view is copied.");
      } catch (error) {
        page.notice("Copy the address from the browser's address line.");
      }
    });
    addEventListener("beforeprint", fill);
    addEventListener("afterprint", () => Atlas.clear(paper));
    return {};
  });
})();
