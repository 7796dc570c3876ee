/* Places: a list to jump between them, and pins where they are too small to see. */
(function () {
  "use strict";
  const { el, link, section, day } = Atlas;
  const LIST_FROM = 12;

  Atlas.part(120, function (page) {
    const { meta, map, places } = page;
    if (places.length < 2) return null;
    const part = section("Places", "places"),
      list = el("ul", { class: "place-list" }),
      filter = el("input", {
        type: "search",
        "aria-label": "Find a place in the list",
        placeholder: "Find a place",
        oninput: () => draw(page.state),
      });
    part.remark.textContent = String(places.length);
    if (places.length >= LIST_FROM) part.body.append(filter);
    // With a place in view its figures come first; the list is one click away.
    const more = el("p", { class: "note" });
    let open = false;
    part.body.append(list, more);
    const when = (place) =>
      place.dates.length === 1 ? day(meta.dates[place.dates[0]]) : place.dates.length + " dates";
    const pins = places.map((place, number) => {
      const pin = L.marker(L.latLngBounds(place.bounds).getCenter(), {
        icon: L.divIcon({ className: "pin", iconSize: [26, 34], iconAnchor: [13, 33] }),
        title: place.name + ", " + when(place),
        alt: place.name,
        keyboard: true,
      });
      pin.on("click", () => page.visit(number));
      return pin;
    });
    function showPins() {
      pins.forEach((pin, number) => {
        const wanted = !page.state.labelling && page.sizeOnScreen(number) < Atlas.PIN_BELOW;
        if (wanted !== map.hasLayer(pin)) wanted ? pin.addTo(map) : pin.remove();
      });
    }
    map.on("zoomend viewreset", showPins);
    let drawn = "";
    function draw(state) {
      part.root.hidden = state.labelling;
      showPins();
      const key = [state.place, filter.value, open].join(" ");
      if (key === drawn) return;
      drawn = key;
      const chosen = state.place >= 0;
      filter.hidden = list.hidden = chosen && !open;
      more.hidden = !chosen;
      Atlas.redraw(
        more,
        link(open ? "hide the list" : "list all places", () => {
          open = !open;
          draw(page.state);
        }),
      );
      const words = filter.value.toLowerCase();
      Atlas.redraw(
        list,
        places
          .map((place, number) => [place, number])
          .filter(([place]) => (place.name + " " + place.ids.join(" ")).toLowerCase().includes(words))
          .map(([place, number]) =>
            el(
              "li",
              {},
              el(
                "button",
                {
                  type: "button",
                  "data-key": "place " + number,
                  "aria-current": String(number === state.place),
                  onclick: () => {
                    open = false;
                    page.visit(number);
                  },
                },
                el("span", {}, place.name, el("small", {}, place.ids.slice(0, 2).join(", "))),
                el("span", { class: "quiet" }, when(place)),
              ),
            ),
          ),
      );
      const current = list.querySelector("[aria-current=true]");
      if (current) list.scrollTop = current.offsetTop - list.offsetTop;
    }
    return { root: part.root, draw };
  });
})();
