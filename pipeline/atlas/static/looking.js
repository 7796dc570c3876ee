/* What is looked at: the place in view, its dates, the modes that they allow, and what the figures count. */
(function () {
  "use strict";
  // Below this many pixels a place is a pin, not a map.
  const PIN_BELOW = 40;

  /** Methods of the page. */
  const looking = {
    /** Planes of the place in view, or all. */
    planesHere(place = this.state.place) {
      return place < 0 ? this.grid.planes : this.places[place].planes.map((number) => this.grid.planes[number]);
    },

    /** Dates of the place in view, first to last. */
    datesHere() {
      return this.state.place < 0 ? [] : this.places[this.state.place].dates;
    },

    latest(place) {
      const { dates } = this.places[place];
      return dates[dates.length - 1];
    },

    comparable(before, after) {
      return this.state.place >= 0 && this.data.comparable(before, after, this.planesHere());
    },

    /** All pairs of dates of the place that can be compared, or as many as are asked for. */
    pairsHere() {
      const dates = this.datesHere();
      return dates.flatMap((after) =>
        dates
          .filter((before) => before < after && this.comparable(before, after))
          .map((before) => [before, after]),
      );
    },

    /** The latest earlier date that can be compared with a date, or -1. */
    previousDate(date) {
      const earlier = this.datesHere().filter((other) => other < date && this.comparable(other, date));
      return earlier.length ? earlier[earlier.length - 1] : -1;
    },

    /** Goes to a place: its latest date, compared with the one before. */
    visit(place, still) {
      this.focus(place);
      this.fit(this.places[place].bounds, still);
    },

    focus(place) {
      const { state } = this;
      state.place = place;
      state.pair = null;
      if (place >= 0) {
        if (!this.datesHere().includes(state.after)) state.after = this.latest(place);
        if (!this.datesHere().includes(state.before) || state.before >= state.after)
          state.before = this.previousDate(state.after);
      }
      if (state.mode !== "map" && !this.comparable(state.before, state.after)) {
        Object.assign(state, { mode: "map", blink: false });
        this.notice(this.whyNot());
      }
      this.update({});
    },

    /** Finds the place in view after the map moved; -1 when several are so small that they are pins. */
    lookAround() {
      const view = this.map.getBounds(),
        centre = this.map.getCenter(),
        seen = this.places.map((_, number) => number).filter((n) => view.intersects(this.places[n].bounds)),
        large = seen.filter((n) => this.sizeOnScreen(n) >= PIN_BELOW),
        { place } = this.state;
      let next = place;
      if (this.places.length === 1) next = 0;
      else if (!large.length && (seen.length || place < 0 || this.sizeOnScreen(place) < PIN_BELOW)) next = -1;
      else if (large.length) {
        const middle = large.filter((n) => L.latLngBounds(this.places[n].bounds).contains(centre));
        if (middle.length ? !middle.includes(place) : !large.includes(place))
          next = (middle.length ? middle : large)[0];
      }
      if (next !== place && !this.state.labelling) this.focus(next);
    },

    /** Longer side of a place in pixels. */
    sizeOnScreen(place) {
      const [low, high] = this.places[place].bounds.map((corner) => this.map.latLngToContainerPoint(corner));
      return Math.max(Math.abs(high.x - low.x), Math.abs(high.y - low.y));
    },

    /** Whether the ground inside the tiles is shown in place of their classes. */
    showsCover() {
      const { product, mode, labelling } = this.state;
      return Boolean(this.meta.cover) && product === "cover" && mode !== "change" && !labelling;
    },

    /** Why two dates cannot be compared here. */
    whyNot() {
      if (this.state.place < 0) return "Choose a place first: dates of different places are not compared.";
      if (this.datesHere().length < 2) return "This place was seen at one date only.";
      return "No two dates of this place show the same ground.";
    },

    /** Changes the mode; Change opens on the first and last dates that can be compared, Swipe on neighbours. */
    setMode(mode) {
      const { state } = this,
        changes = { mode, pair: null, blink: false };
      if (state.labelling && mode !== "map") {
        this.notice("Leave the labelling first.");
        return;
      }
      if (mode !== "map") {
        const pairs = this.pairsHere();
        if (!pairs.length) {
          this.notice(this.whyNot());
          return;
        }
        const own = pairs.find(([before, after]) => before === state.before && after === state.after);
        if (state.mode === "map" && mode === "change") {
          const span = ([a, b]) => Date.parse(this.meta.dates[b]) - Date.parse(this.meta.dates[a]);
          [changes.before, changes.after] = pairs.reduce((best, pair) => (span(pair) > span(best) ? pair : best));
        } else if (!own) [changes.before, changes.after] = pairs[pairs.length - 1];
      }
      this.body.scrollTop = 0;
      this.update(changes);
    },

    /** Shows a date of the place; in Swipe and Change as the nearer of the two, where it can be compared. */
    showDate(date) {
      let { before, after } = this.state;
      if (this.state.mode === "map") {
        this.update({ after: date });
        return;
      }
      if (date < before || (date < after && date - before <= after - date)) before = date;
      else after = date;
      if (before === after) return;
      if (this.comparable(before, after)) this.update({ before, after });
      else this.notice("These two dates do not show the same ground, so they are not compared.");
    },

    /** The date that a side shows at the place in view; blink alternates it. */
    dateOf(side) {
      return side === "before" || (this.state.blink && this.blinkPhase) ? this.state.before : this.state.after;
    },

    /** The date that every plane shows, -1 for none: other places show their latest. */
    datesOf(side, date = this.dateOf(side)) {
      return this.grid.planes.map((plane) => {
        const place = this.placeOf[plane.number],
          own = place === this.state.place ? date : this.latest(place);
        return this.layersAt.has(own + " " + plane.number) ? own : -1;
      });
    },

    /** The date at which a tile is shown, -1 for none. */
    dateAt(side, tile) {
      return this.datesOf(side)[this.grid.where(tile).plane.number];
    },

    /** What the figures count: {key, planes, weight, name}. */
    scope() {
      const planes = this.planesHere();
      if (this.state.where === "area" && this.area)
        return {
          key: "area " + this.area.key + " " + this.state.place,
          planes,
          weight: this.area.shares,
          name: this.area.name,
        };
      if (this.state.where === "view") {
        const weight = this.inView();
        return {
          key: "view " + this.map.getBounds().toBBoxString() + this.state.place,
          planes,
          weight,
          name: "this view",
        };
      }
      return { key: "place " + this.state.place, planes, weight: null, name: "whole place" };
    },

    /** Tiles by class byte of a side; in the overview every place at its latest date. */
    areas(side) {
      const scope = this.scope(),
        { threshold } = this.state;
      if (this.state.place >= 0) return this.data.areas(this.dateOf(side), threshold, scope);
      const sum = new Float64Array(256);
      this.places.forEach((_, number) => {
        const own = { key: scope.key + " of " + number, planes: this.planesHere(number), weight: scope.weight };
        this.data.areas(this.latest(number), threshold, own).forEach((value, code) => (sum[code] += value));
      });
      return sum;
    },

    /** 1 for tiles whose centre lies in the view. */
    inView() {
      const [xs, ys] = this.grid.centres(),
        bounds = this.map.getBounds(),
        { mercatorX, mercatorY } = Atlas.projection,
        inside = new Uint8Array(this.grid.size);
      const west = mercatorX(bounds.getWest()),
        east = mercatorX(bounds.getEast()),
        north = mercatorY(bounds.getNorth()),
        south = mercatorY(bounds.getSouth());
      for (let i = 0; i < inside.length; i++) {
        const x = xs[i] - Math.round(xs[i] - (west + east) / 2);
        inside[i] = x > west && x < east && ys[i] > north && ys[i] < south ? 1 : 0;
      }
      return inside;
    },
  };
  Object.assign(Atlas, { looking, PIN_BELOW });
})();
