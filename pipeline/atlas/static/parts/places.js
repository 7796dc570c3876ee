/* Places: shown when scenes lie apart, to jump between them. */
(function () {
  "use strict";
  const { el, section, day } = Atlas;

  Atlas.part(600, function (page) {
    const { meta } = page;
    if (meta.places.length < 2) return null;
    const part = section("Places", "places");
    part.remark.textContent = String(meta.places.length);
    function go(place) {
      const { after } = page.state;
      const latest = place.dates.includes(after) ? after : place.dates[place.dates.length - 1];
      page.update(
        Object.assign(
          { after: latest, before: page.previousDate(latest) },
          place.dates.length < 2 ? { mode: "map", blink: false } : {},
        ),
      );
      page.fit(place.bounds);
    }
    part.body.append(
      el(
        "ul",
        { class: "place-list" },
        meta.places.map((place) =>
          el(
            "li",
            {},
            el(
              "button",
              { type: "button", onclick: () => go(place) },
              place.name,
              el(
                "span",
                { class: "quiet" },
                place.dates.length === 1 ? day(meta.dates[place.dates[0]]) : place.dates.length + " dates",
              ),
            ),
          ),
        ),
      ),
    );
    return { root: part.root };
  });
})();
