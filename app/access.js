// What Gradio leaves undone for people who work without a mouse or without seeing: said of fields, kept over redraws.
(() => {
  const opened = new Set();  // folds of plots that somebody has opened, by what they are of
  let last = null;  // where the focus was

  const voice = Object.assign(document.createElement("div"), { className: "rw-unseen", role: "status" });
  let said = "";

  const set = (node, name, value) => {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  };
  const shown = (node) => node.isConnected && node.checkVisibility();
  const fold = (node) => `${node.closest(".block[id]")?.id} ${node.querySelector("summary")?.textContent}`;

  /** Help and error of an option belong to its input. */
  function describe() {
    for (const field of document.querySelectorAll(".rw-option[id]")) {
      const input = field.querySelector("input, textarea");
      const help = field.querySelector(".info-text");
      const problem = document.getElementById(`problem-${field.id.replace("opt-", "")}`);
      if (!input) continue;
      if (help) help.id = `${field.id}-help`;
      set(input, "aria-describedby", [problem?.id, help?.id].filter(Boolean).join(" "));
      set(input, "aria-invalid", String(Boolean(problem)));
    }
  }

  /** Groups of radio buttons are walked by arrow keys; folds and tabs say what they are. */
  function name() {
    for (const group of document.querySelectorAll("fieldset.block[id]")) {
      for (const radio of group.querySelectorAll("input[type=radio]")) set(radio, "name", group.id);
    }
    for (const button of document.querySelectorAll(".gr-accordion > button")) {
      set(button, "aria-expanded", String(button.classList.contains("open")));
    }
    for (const panel of document.querySelectorAll("[role=tabpanel]")) {
      set(panel, "aria-labelledby", `${panel.id}-button`);
      set(panel, "tabindex", "-1");
    }
    for (const image of document.querySelectorAll("footer img")) set(image, "alt", "");  // its words stand beside it
  }

  /** What was open stays open when a plot is drawn anew, and the focus goes along to another tab. */
  function keep() {
    for (const node of document.querySelectorAll(".rw-figure details")) {
      if (opened.has(fold(node))) node.open = true;
    }
    const left = document.activeElement === document.body && last?.closest("[role=tabpanel]");
    if (left && !shown(left)) [...document.querySelectorAll("[role=tabpanel]")].find(shown)?.focus({ preventScroll: true });
  }

  /** The strip is drawn anew every few seconds: only a change of state is worth a word. */
  function tell() {
    const strip = document.querySelector(".rw-strip");
    if (!strip) return;
    set(strip, "aria-live", "off");
    const state = [strip.querySelector("strong"), strip.querySelector(".rw-chip")].map((node) => node?.textContent ?? "");
    const words = state.join(" ").trim();
    const first = !voice.isConnected;
    if (first) document.body.append(voice);
    if (!first && words !== said) voice.textContent = words;
    said = words;
  }

  function repair() {
    due = false;
    describe();
    name();
    keep();
    tell();
  }
  let due = false;
  const soon = () => {
    if (!due) requestAnimationFrame(repair);
    due = true;
  };

  addEventListener("focusin", ({ target }) => { last = target; });
  addEventListener("pointerdown", () => { last = null; });
  addEventListener("click", ({ target }) => {  // not on toggle, which comes later: it may be drawn anew in between
    const node = target.closest?.(".rw-figure summary")?.parentElement;
    if (node?.open) opened.delete(fold(node));
    else if (node) opened.add(fold(node));
  });
  addEventListener("keydown", (event) => {  // arrow keys walk the tabs
    const tabs = [...(event.target.closest?.("[role=tablist]")?.querySelectorAll("[role=tab]") ?? [])];
    const here = tabs.indexOf(event.target);
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (here < 0 || to === undefined) return;
    event.preventDefault();
    tabs[(to + tabs.length) % tabs.length].focus();
  });
  // Gradio takes note of text by the key that was pressed: what is pasted, dropped, dictated or deleted has none.
  let pressed = false;
  addEventListener("keypress", (event) => {
    pressed = event.isTrusted;
    setTimeout(() => { pressed = false; });
  });
  addEventListener("input", ({ target }) => {
    if (pressed || !target.matches?.("[data-testid=textbox]")) return;
    target.dispatchEvent(new KeyboardEvent("keypress", { key: "Unidentified", bubbles: true }));
  });
  addEventListener("click", (event) => {
    if (!event.target.matches?.(".rw-skip")) return;
    event.preventDefault();
    [...document.querySelectorAll("[role=tabpanel]")].find(shown)?.focus();
  });
  const watched = { childList: true, subtree: true, attributes: true, attributeFilter: ["style", "class", "open"] };
  new MutationObserver(soon).observe(document.documentElement, watched);  // the body may still be to come
})();
