// The large picture: two arms under a divider, all arms side by side, two arms in turn, or their difference.
const MODES = { slider: "Slider", side: "Side by side", flicker: "Flicker", difference: "Difference" };
const FLICKER_MS = 1000 / 1.5;
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");
const TURNS = {
  ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100,
};

class Stage {
  /** @param adjust takes what changes without other pictures: cut, gain, shown, auto */
  constructor(album, adjust) {
    this.album = album;
    this.adjust = adjust;
    this.titles = { left: make("span"), right: make("span"), shown: make("span") };
    this.names = make("div", { class: "names" }, ...Object.values(this.titles));
    this.layers = { left: make("div", { class: "layer left" }), right: make("div", { class: "layer right" }) };
    this.handle = make("div", {
      class: "handle", role: "slider", tabindex: 0, "data-name": "handle", "aria-label": "Divider on the picture",
      "aria-valuemin": 0, "aria-valuemax": 100, keydown: (event) => this.turn(event),
    });
    const drag = (event) => this.drag(event);
    this.frame = make("div", { class: "stage", pointerdown: drag, pointermove: drag });
    this.node = make("div", {}, this.names, this.frame);
    this.makeTools();
  }

  makeTools() {
    const range = (name, low, high, title) => {
      const input = (event) => this.adjust({ [name]: Number(event.target.value) });
      const bounds = { type: "range", min: low, max: high, step: 1 };
      return make("input", { ...bounds, "data-name": name, "aria-label": title, input });
    };
    this.cut = range("cut", 0, 100, "Divider");
    this.gain = range("gain", 1, 8, "Amplification");
    this.gainWords = make("p", { class: "note" });
    const change = (event) => this.adjust({ auto: event.target.checked });
    this.auto = make("input", { type: "checkbox", "data-name": "auto", change });
    this.byHand = make("p", { class: "note" }, "By hand only: this device asks for reduced motion.");
    const click = () => this.flip();
    const flip = make("button", { type: "button", "data-name": "switch", click }, "Show the other arm");
    const byItself = make("label", { class: "check" }, this.auto, "Switch by itself, 1.5 times a second");
    const tool = (...children) => make("div", { class: "tool" }, ...children);
    this.tools = {
      slider: tool(make("label", {}, "Divider; or drag it on the picture", this.cut)),
      side: tool(make("p", { class: "note" }, "All arms of this training seed, drawn from the same noise.")),
      flicker: tool(flip, byItself, this.byHand),
      difference: tool(make("label", {}, "Amplification, 1 to 8 times", this.gain), this.gainWords),
    };
  }

  /** Shows the pictures of a place. */
  show(at) {
    this.at = at;
    this.frame.dataset.mode = at.mode;
    this.names.hidden = at.mode === "side";
    for (const [mode, tool] of Object.entries(this.tools)) tool.hidden = mode !== at.mode;
    const picture = (arm) => this.album.picture(arm, at, { decoding: "sync" });
    if (at.mode === "side") {
      this.frame.replaceChildren(...this.album.values.left.map((arm) => this.figure(arm, picture(arm))));
    } else {
      for (const side of ["left", "right"]) this.layers[side].replaceChildren(picture(at[side]));
      const handle = at.mode === "slider" ? [this.handle] : [];
      this.frame.replaceChildren(this.layers.left, this.layers.right, ...handle);
    }
    this.update();
  }

  figure(arm, picture) {
    const sides = ["left", "right"].filter((side) => this.at[side] === arm);
    const note = sides.length ? ` (${sides.join(", ")})` : "";
    return make("figure", {}, make("figcaption", {}, this.album.title(arm, this.at) + note), picture);
  }

  /** Brings divider, amplification and flicker up to date; the pictures stay. */
  update() {
    const { at } = this;
    const [left, right] = [this.album.title(at.left, at), this.album.title(at.right, at)];
    this.frame.style.setProperty("--cut", `${at.cut}%`);
    this.frame.style.setProperty("--gain", at.gain);
    this.frame.dataset.shown = at.shown;
    this.cut.value = at.cut;
    this.gain.value = at.gain;
    const share = `${Math.round(at.cut)} % ${left}, ${Math.round(100 - at.cut)} % ${right}`;
    this.handle.setAttribute("aria-valuenow", Math.round(at.cut));
    for (const node of [this.handle, this.cut]) node.setAttribute("aria-valuetext", share);
    this.gainWords.textContent = `Absolute difference of the two pictures, × ${at.gain}. Black: they are equal.`;
    this.flickerOn();
    const shown = `Shown: ${this.album.title(at[at.shown], at)} (${at.shown})`;
    const difference = { left: `|${left} − ${right}| × ${at.gain}` };
    const texts = { flicker: { shown }, difference }[at.mode] ?? { left, right };
    for (const [name, title] of Object.entries(this.titles)) title.textContent = texts[name] ?? "";
  }

  flickerOn() {  // or off; never by itself where reduced motion is asked for
    const running = this.at.mode === "flicker" && this.at.auto && !REDUCED.matches;
    this.auto.checked = running;
    this.auto.disabled = REDUCED.matches;
    this.byHand.hidden = !REDUCED.matches;
    this.titles.shown.setAttribute("aria-live", running ? "off" : "polite");
    if (!running) this.stop();
    else this.timer ??= setInterval(() => (REDUCED.matches ? this.update() : this.flip()), FLICKER_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  flip() {
    this.adjust({ shown: this.at.shown === "left" ? "right" : "left" });
  }

  turn(event) {
    const by = TURNS[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.adjust({ cut: this.at.cut + by });
  }

  drag(event) {
    if (this.at.mode !== "slider" || event.buttons !== 1) return;
    if (event.type === "pointerdown") this.frame.setPointerCapture(event.pointerId);
    const box = this.frame.getBoundingClientRect();
    this.adjust({ cut: (100 * (event.clientX - box.left)) / box.width });
  }
}
