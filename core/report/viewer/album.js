// Which pictures there are. Shares one function scope with the other files of this folder (see manifest.viewer_script).
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
};
const sorted = (values) => [...new Set(values)].sort((one, other) => one - other);
const padded = (number, digits) => String(number).padStart(digits, "0");

class Album {
  /** @param table what core/report/manifest.py writes */
  constructor(table) {
    this.table = table;
    this.runs = table.runs.map((run) => ({ ...run, drawn: new Set(run.spots.map((spot) => spot.join())) }));
    const spots = table.runs.flatMap((run) => run.spots);
    const arms = [...new Set(table.runs.map((run) => run.arm))];
    this.values = {
      prompt: sorted(spots.map((spot) => spot[1])),
      step: sorted(spots.map((spot) => spot[0])),
      sample: sorted(spots.map((spot) => spot[2])),
      seed: sorted(table.runs.map((run) => run.seed)),
      left: arms,
      right: arms,
    };
  }

  get empty() {
    return this.values.step.length === 0;
  }

  get paired() {  // by training seeds
    return this.values.seed.length > 1 || this.values.seed[0] !== null;
  }

  /** Where a reader begins: the newest pictures of the first two arms. */
  start() {
    const [prompt, sample, seed] = ["prompt", "sample", "seed"].map((name) => this.values[name][0]);
    const [left, right = left] = this.values.left;
    const spot = { prompt, step: this.values.step.at(-1), sample, seed };
    return { ...spot, left, right, mode: "slider", cut: 50, gain: 4, shown: "left", auto: false };
  }

  /** The reader's former place; what is no longer there begins anew. */
  kept(place) {
    const start = this.start();
    if (!place) return start;
    const gone = Object.keys(this.values).filter((name) => !this.values[name].includes(place[name]));
    return { ...start, ...place, ...Object.fromEntries(gone.map((name) => [name, start[name]])) };
  }

  label(arm) {
    const labels = new Set(this.runs.filter((run) => run.arm === arm).map((run) => run.label));
    return labels.size === 1 ? [...labels][0] : arm;
  }

  text(field, value) {
    if (field === "prompt") return this.table.prompts[value] ?? `prompt ${value + 1}`;
    return field === "left" || field === "right" ? this.label(value) : String(value ?? "none");
  }

  /** What a place shows, in words. */
  words(at) {
    const seed = at.seed === null ? "" : `, training seed ${at.seed}`;
    return `step ${at.step}, sample seed ${at.sample}${seed}`;
  }

  /** Where an arm's picture lies; null where it was not drawn. */
  address(arm, at) {
    const run = this.runs.find((other) => other.arm === arm && other.seed === at.seed);
    if (!run?.drawn.has([at.step, at.prompt, at.sample].join())) return null;
    return `${run.base}step-${padded(at.step, 6)}/p${padded(at.prompt, 2)}-s${at.sample}.png`;
  }

  /** An arm's picture, or what stands in its place. */
  picture(arm, at, attributes = {}) {
    const alt = `${this.text("prompt", at.prompt)}; ${this.label(arm)}, ${this.words(at)}`;
    const missing = (words) => make("div", { class: "missing", role: "img", "aria-label": `${alt}: ${words}` }, words);
    const src = this.address(arm, at);
    if (src === null) return missing("not drawn");
    const error = (event) => event.target.replaceWith(missing("cannot be loaded"));
    return make("img", { alt, draggable: "false", error, ...attributes, src });
  }
}
