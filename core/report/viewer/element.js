// <rollout-viewer>: sample pictures of matched arms, compared. Reads a table from a child
// <script type="application/json"> (core/report/manifest.py writes it); no dependency, no request but for pictures.
const FIELDS = {
  prompt: "Prompt", step: "Step", sample: "Sample seed", seed: "Training seed", left: "Left arm", right: "Right arm",
};
const MOVES = {
  ArrowLeft: ["step", -1], ArrowRight: ["step", 1], ArrowUp: ["prompt", -1], ArrowDown: ["prompt", 1],
  "[": ["sample", -1], "]": ["sample", 1], ",": ["seed", -1], ".": ["seed", 1],
};
const KEYS = [
  ["← →", "step"], ["↑ ↓", "prompt"], ["[ ]", "sample seed"], [", .", "training seed"], ["1 2 3 4", "way to compare"],
  ["space", "switch the flicker"],
];
const places = new Map();  // a table's key to where its reader was, for as long as the page is open
const focused = new Map();  // a table's key to what had the focus when the page took the viewer away

class RolloutViewer extends HTMLElement {
  connectedCallback() {
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this.watch = new MutationObserver(() => {  // a parser may bring the table later, a page may renew it
      if (this.source() !== this.text) this.read();
    });
    this.watch.observe(this, { childList: true, characterData: true, subtree: true });
    this.read();
  }

  disconnectedCallback() {
    this.watch.disconnect();
    this.stage?.stop();
  }

  source() {
    return this.querySelector('script[type="application/json"]')?.textContent ?? "";
  }

  read() {
    let table = null;
    try {
      table = JSON.parse(this.source());
    } catch {
      return;  // not all of it is there yet
    }
    this.text = this.source();
    this.stage?.stop();
    this.album = new Album(table);
    this.at = this.album.kept(places.get(table.key));
    const style = make("style", {}, STYLE);
    this.shadowRoot.replaceChildren(style, this.album.empty ? this.nothing() : this.build());
    if (this.album.empty) return;
    this.show();
    if (document.activeElement === document.body) this.focusOn(focused.get(table.key));
  }

  nothing() {
    return make("p", { class: "note" }, "No pictures yet: they appear as they are drawn.");
  }

  build() {
    this.stage = new Stage(this.album, (patch) => this.adjust(patch));
    this.grid = new Grid(this.album, (patch) => this.change(patch));
    this.selects = {};
    const fields = Object.keys(FIELDS).map((name) => this.field(name));
    this.modes = Object.entries(MODES).map(([mode, title]) =>
      make("button", { type: "button", "data-name": mode, click: () => this.change({ mode }) }, title));
    this.where = make("p", { class: "where", role: "status" });
    const keys = KEYS.filter(([caps]) => caps !== ", ." || this.album.paired).map(([caps, text]) =>
      make("span", {}, ...caps.split(" ").map((cap) => make("kbd", {}, cap)), ` ${text}`));
    const panel = make("div", { class: "panel" },
      make("div", { class: "modes", role: "group", "aria-label": "Way to compare" }, ...this.modes),
      make("div", { class: "arms" }, ...fields.slice(4)), ...Object.values(this.stage.tools), this.where,
      make("p", { class: "keys" }, make("span", {}, "Keys, while the viewer has the focus:"), ...keys));
    return make("section", {
      class: this.album.table.pixelated ? "pixels" : null, tabindex: 0, "data-name": "frame",
      "aria-label": "Picture viewer", keydown: (event) => this.key(event),
      focusin: (event) => this.remember(event.target.dataset.name), focusout: () => this.forget(),
    }, make("div", { class: "fields" }, ...fields.slice(0, 4)),
      make("div", { class: "body" }, this.stage.node, panel), this.grid.node);
  }

  field(name) {
    const values = this.album.values[name];
    const options = values.map((value, index) => make("option", { value: index }, this.album.text(name, value)));
    const change = (event) => this.change({ [name]: values[event.target.value] });
    this.selects[name] = make("select", { "data-name": name, change }, ...options);
    return make("label", { hidden: name === "seed" && !this.album.paired }, FIELDS[name], this.selects[name]);
  }

  /** Goes to another place. */
  change(patch) {
    this.keep(patch);
    this.show();
  }

  /** Changes what needs no other pictures. */
  adjust(patch) {
    this.keep(patch);
    this.stage.update();
  }

  keep(patch) {
    Object.assign(this.at, patch);
    this.at.cut = Math.min(Math.max(this.at.cut, 0), 100);
    places.set(this.album.table.key, this.at);
  }

  show() {
    const { album, at } = this;
    for (const [name, select] of Object.entries(this.selects)) select.value = album.values[name].indexOf(at[name]);
    for (const button of this.modes) button.setAttribute("aria-pressed", button.dataset.name === at.mode);
    this.where.textContent = `${album.text("prompt", at.prompt)}: ${album.words(at)}`;
    const inGrid = this.shadowRoot.activeElement?.dataset.name?.startsWith("cell");
    this.stage.show(at);
    this.grid.show(at);
    if (inGrid) this.focusOn(this.grid.name(at.prompt, at.step));
    this.fetchNeighbours();
  }

  fetchNeighbours() {  // so that a step forward or back shows at once
    const steps = this.album.values.step;
    const here = steps.indexOf(this.at.step);
    for (const step of [steps[here - 1], steps[here + 1]].filter((value) => value !== undefined)) {
      for (const arm of [this.at.left, this.at.right]) {
        const address = this.album.address(arm, { ...this.at, step });
        if (address !== null) new Image().src = address;
      }
    }
  }

  key(event) {
    const tag = event.target.localName;
    if (event.metaKey || event.ctrlKey !== event.altKey || tag === "select") return;  // both: AltGr, for [ and ]
    const move = MOVES[event.key];
    const mode = Object.keys(MODES)[Number(event.key) - 1];
    if (tag === "input" && event.key.length > 1) return;  // a range has its own arrows
    if (move) this.move(...move);
    else if (mode) this.change({ mode });
    else if (event.key === " " && this.at.mode === "flicker" && tag !== "button" && tag !== "input") this.stage.flip();
    else return;
    event.preventDefault();
  }

  move(name, by) {
    const values = this.album.values[name];
    const place = values.indexOf(this.at[name]) + by;
    if (place >= 0 && place < values.length) this.change({ [name]: values[place] });
  }

  focusOn(name) {
    this.shadowRoot.querySelector(`[data-name="${name}"]`)?.focus({ preventScroll: true });
  }

  remember(name) {
    focused.set(this.album.table.key, name);
  }

  forget() {  // but not when the page takes the viewer away: it may bring it back
    setTimeout(() => {
      if (this.isConnected && !this.shadowRoot.activeElement) focused.delete(this.album.table.key);
    });
  }
}
customElements.define("rollout-viewer", RolloutViewer);
