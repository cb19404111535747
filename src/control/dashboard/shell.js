// The frame around the two panes: switching and sizing them, short notes, and the question before something drastic.

import { element, setAttribute, setText } from "./dom.js";

const TOAST_TIME = 6000;
const WIDTH = "openclawd.chatWidth";

/** A note that goes away by itself; errors stay twice as long. */
export function toast(text, tone = "ok") {
  const note = element("div", { class: "toast", "data-tone": tone }, element("span", { class: "dot", "data-tone": tone }), element("span", {}, text));
  const list = document.getElementById("toasts");
  list.append(note);
  while (list.children.length > 4) list.firstChild.remove();
  setTimeout(() => note.remove(), tone === "error" ? 2 * TOAST_TIME : TOAST_TIME);
}

/** Asks; resolves to whether the answer was yes. */
export function askFirst(title, text, yes) {
  const dialog = document.getElementById("confirm");
  setText(document.getElementById("confirm-title"), title);
  setText(document.getElementById("confirm-text"), text);
  setText(document.getElementById("confirm-yes"), yes.split(" ")[0]);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Tabs for narrow pages, a divider to drag or move by arrow keys for wide ones. */
export function wirePanes(app, divider, tabs) {
  const show = (pane) => {
    app.dataset.pane = pane;
  };
  const mark = () => {
    for (const [name, tab] of Object.entries(tabs)) setAttribute(tab, "aria-pressed", app.dataset.pane === name);
  };
  for (const [name, tab] of Object.entries(tabs)) tab.addEventListener("click", () => show(name));
  new MutationObserver(mark).observe(app, { attributeFilter: ["data-pane"] });
  mark();

  const setWidth = (percent) => {
    const kept = Math.round(Math.max(25, Math.min(70, percent)));
    app.style.setProperty("--chat-width", `${kept}%`);
    setAttribute(divider, "aria-valuenow", kept);
    try {
      localStorage.setItem(WIDTH, String(kept));
    } catch {
      // Nothing is kept then.
    }
  };
  setAttribute(divider, "aria-valuemin", 25);
  setAttribute(divider, "aria-valuemax", 70);
  let kept = null;
  try {
    kept = Number(localStorage.getItem(WIDTH));
  } catch {
    // The default width then.
  }
  setWidth(kept || 43);
  divider.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (step) setWidth(Number(divider.getAttribute("aria-valuenow")) + step);
  });
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    const move = (at) => setWidth((at.clientX / document.body.clientWidth) * 100);
    divider.addEventListener("pointermove", move);
    divider.addEventListener("pointerup", () => divider.removeEventListener("pointermove", move), { once: true });
  });
}
