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
const END = "end";  // in the place of a step: every run's own last one, where arms are trained for longer than others
const padded = (number, digits) => String(number).padStart(digits, "0");

class Album {
  /** @param table what core/report/manifest.py writes */
  constructor(table) {
    this.table = table;
    this.runs = table.runs.map((run) => ({
      ...run, drawn: new Set(run.spots.map((spot) => spot.join())), last: Math.max(...run.spots.map((spot) => spot[0])),
    }));
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
    const ends = this.runs.filter((run) => run.spots.length).map((run) => run.last);
    if (new Set(ends).size > 1) this.values.step.push(END);
  }

  get empty() {
    return this.values.step.length === 0;
  }

  get paired() {  // by training seeds
    return this.values.seed.length > 1 || this.values.seed[0] !== null;
  }

  /** Where a reader begins: the newest pictures that both of the first two arms have. */
  start() {
    const [prompt, sample, seed] = ["prompt", "sample", "seed"].map((name) => this.values[name][0]);
    const [left, right = left] = this.values.left;
    const has = (arm, step) => this.address(arm, { prompt, step, sample, seed }) !== null;
    const steps = this.values.step.filter((step) => step !== END);
    const step = steps.findLast((value) => has(left, value) && has(right, value)) ?? steps.at(-1);
    return { prompt, step, sample, seed, left, right, mode: "slider", cut: 50, gain: 4, shown: "left", auto: false };
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
    if (field === "left" || field === "right") return this.label(value);
    return value === END ? "each run's last" : String(value ?? "none");
  }

  /** What a place shows, in words. */
  words(at) {
    const seed = at.seed === null ? "" : `, training seed ${at.seed}`;
    const step = at.step === END ? "each run's last step" : `step ${at.step}`;
    return `${step}, sample seed ${at.sample}${seed}`;
  }

  /** Where an arm's picture lies; null where it was not drawn. */
  address(arm, at) {
    const run = this.run(arm, at);
    const { step } = this.resolved(arm, at);
    if (!run?.drawn.has([step, at.prompt, at.sample].join())) return null;
    return `${run.base}step-${padded(step, 6)}/p${padded(at.prompt, 2)}-s${at.sample}.png`;
  }

  run(arm, at) {
    return this.runs.find((other) => other.arm === arm && other.seed === at.seed);
  }

  /** A place with a step of its own for each arm. */
  resolved(arm, at) {
    return at.step === END && this.run(arm, at)?.spots.length ? { ...at, step: this.run(arm, at).last } : at;
  }

  /** What stands over an arm's picture. */
  title(arm, at) {
    return at.step === END ? `${this.label(arm)}, step ${this.resolved(arm, at).step}` : this.label(arm);
  }

  /** An arm's picture, or what stands in its place. */
  picture(arm, at, attributes = {}) {
    const alt = `${this.text("prompt", at.prompt)}; ${this.label(arm)}, ${this.words(this.resolved(arm, at))}`;
    const missing = (words) => make("div", { class: "missing", role: "img", "aria-label": `${alt}: ${words}` }, words);
    const src = this.address(arm, at);
    if (src === null) return missing("not drawn");
    const error = (event) => event.target.replaceWith(missing("cannot be loaded"));
    return make("img", { alt, draggable: "false", error, ...attributes, src });
  }
}
