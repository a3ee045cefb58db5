// All pictures of two arms: a table of prompts and steps, of which one cell is shown large.
const NAMES = 100;  // pixels that the arms' names take at the left end

class Grid {
  /** @param choose takes a prompt and a step */
  constructor(album, choose) {
    this.album = album;
    this.choose = choose;
    this.drawn = "";
    this.cells = new Map();
    this.node = make("div", { class: "grid", role: "region", "aria-label": "All pictures of both arms" });
  }

  /** Draws the pictures of a place's arms and seeds where they are not drawn yet, and marks its cell. */
  show(at) {
    const wanted = JSON.stringify([at.left, at.right, at.sample, at.seed]);
    if (wanted !== this.drawn) this.draw(at);
    this.drawn = wanted;
    for (const [name, cell] of this.cells) {
      const here = name === this.name(at.prompt, at.step);
      cell.setAttribute("aria-current", here);
      cell.tabIndex = here ? 0 : -1;  // one stop of the tab key; arrow keys go on from there
      if (here) this.reveal(cell);
    }
  }

  reveal(cell) {  // sideways only: the page must not jump
    const [box, view] = [cell.getBoundingClientRect(), this.node.getBoundingClientRect()];
    if (box.right > view.right) this.node.scrollLeft += box.right - view.right + 8;
    if (box.left < view.left + NAMES) this.node.scrollLeft -= view.left + NAMES - box.left;
  }

  name(prompt, step) {
    return `cell ${prompt} ${step}`;
  }

  draw(at) {
    const { prompt, step } = this.album.values;
    this.cells.clear();
    const heads = step.map((value) => make("th", { scope: "col" }, value === END ? "last" : `step ${value}`));
    const top = make("thead", {}, make("tr", {}, make("td"), ...heads));
    const groups = prompt.map((value) => make("tbody", {}, ...this.rows(at, value, step)));
    this.node.replaceChildren(make("table", {}, top, ...groups));
  }

  rows(at, prompt, steps) {
    const words = make("span", {}, this.album.text("prompt", prompt));
    const title = make("tr", {}, make("th", { scope: "rowgroup", colspan: steps.length + 1 }, words));
    const names = [at.left, at.right].map((arm) => make("span", {}, this.album.label(arm)));
    const cells = steps.map((step) => make("td", {}, this.cell({ ...at, prompt, step })));
    return [title, make("tr", {}, make("th", { scope: "row" }, ...names), ...cells)];
  }

  cell(at) {
    const pictures = [at.left, at.right].map((arm) =>
      this.album.picture(arm, at, { loading: "lazy", width: 64, height: 64 }));
    const name = this.name(at.prompt, at.step);
    const click = () => this.choose({ prompt: at.prompt, step: at.step });
    const cell = make("button", { type: "button", "data-name": name, click }, ...pictures);
    this.cells.set(name, cell);
    return cell;
  }
}
