// The live tree: rows of a tree grid, kept in step with the state by key, and the panel about the chosen actor.

import { arrange, element, icon, perFrame, setAttribute, setText } from "./dom.js";
import { age, countdown, duration, plural, shortIds } from "./format.js";
import { Inspector } from "./inspector.js";
import { PAGE, isFault, kindOf, nameOf, rowsOf, stateInfo, summaryText, totals } from "./tree-rows.js";

/** A fault of a running actor is mentioned in its row for this long. */
const RECENT_FAULT = 5 * 60_000;

/** `actions`: `act(node, action)`, `history(path)`, `mayAct()`, `current()`, `self()`, `now()` in the gateway's time. */
export class TreeView {
  #dom;
  #actions;
  #state = null;
  #view = { filter: "", onlyTrouble: false, toggles: new Map(), limits: new Map() };
  #rows = new Map();
  #shown = [];
  #focusKey = null;
  #chosen = null;
  #inspector;
  #render = perFrame(() => this.#draw());

  constructor(dom, actions) {
    this.#dom = dom;
    this.#actions = actions;
    this.#inspector = new Inspector(dom.inspector, actions, () => this.#choose(null));
    dom.filter.addEventListener("input", () => {
      this.#view.filter = dom.filter.value;
      this.#render();
    });
    dom.filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && dom.filter.value) {
        dom.filter.value = "";
        this.#view.filter = "";
        this.#render();
      }
    });
    dom.trouble.addEventListener("click", () => {
      this.#view.onlyTrouble = !this.#view.onlyTrouble;
      setAttribute(dom.trouble, "aria-pressed", this.#view.onlyTrouble);
      this.#render();
    });
    dom.grid.addEventListener("keydown", (event) => this.#key(event));
    dom.grid.addEventListener("click", (event) => this.#click(event));
    setInterval(() => this.#tick(), 250);
  }

  /** Takes a new state of the tree; the page follows with the next frame. */
  update(state) {
    this.#state = state;
    this.#render();
  }

  #draw() {
    if (!this.#state) return;
    const { nodes } = this.#state;
    const { rows, matched, filtering } = rowsOf(nodes, this.#view);
    this.#shown = rows;
    const live = new Set();
    const context = { now: this.#actions.now(), mayAct: this.#actions.mayAct(), self: this.#actions.self() };
    const elements = rows.map((row) => {
      live.add(row.key);
      let held = this.#rows.get(row.key);
      if (!held || held.type !== row.type) {
        held = row.type === "node" ? new NodeRow() : new MoreRow();
        this.#rows.set(row.key, held);
      }
      held.show(row, { ...context, chosen: this.#chosen === row.key });
      return held.root;
    });
    for (const key of this.#rows.keys()) if (!live.has(key)) this.#rows.delete(key);
    if (!live.has(this.#focusKey)) this.#focusKey = rows[0]?.key ?? null;
    for (const row of rows) this.#rows.get(row.key).root.tabIndex = row.key === this.#focusKey ? 0 : -1;
    const focused = this.#dom.grid.contains(document.activeElement) ? document.activeElement : null;
    arrange(this.#dom.body, elements);
    if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
    this.#drawSummary(nodes, matched, filtering);
    if (!nodes.has(this.#chosen)) this.#chosen = null;
    this.#inspector.show(nodes.get(this.#chosen) ?? null);
    setAttribute(this.#dom.grid, "aria-busy", this.#state.waiting);
  }

  #drawSummary(nodes, matched, filtering) {
    const all = totals(nodes);
    const trouble = all.filter((entry) => entry.rank >= 2);
    const count = trouble.reduce((sum, entry) => sum + entry.count, 0);
    const counted = all.map((entry) => `${entry.count} ${entry.text}`).join(", ");
    const size = nodes.size.toLocaleString("en");
    setText(this.#dom.summary, filtering ? `${matched} of ${size}` : size);
    setAttribute(this.#dom.summary, "title", counted);
    const current = this.#actions.current();
    const troubles = trouble.map((entry) => `${entry.count} ${entry.text}`).join(" · ");
    setText(this.#dom.troubleText, current ? troubles || "All well" : "Not current");
    setAttribute(this.#dom.trouble, "data-tone", current ? (trouble[0]?.tone ?? "ok") : "idle");
    this.#dom.trouble.hidden = this.#state.epoch === null;
    this.#dom.trouble.disabled = count === 0 && !this.#view.onlyTrouble;
    const nothing = this.#state.epoch === null ? "Waiting for the gateway…" : filtering ? "No actor matches." : "No actors.";
    setText(this.#dom.empty, nothing);
    this.#dom.empty.hidden = this.#shown.length > 0;
    this.#dom.onTrouble?.(count, trouble[0]?.tone ?? "ok");
  }

  /** What changes with time alone: ages and countdowns. */
  #tick() {
    if (document.hidden || !this.#state) return;
    const now = this.#actions.now();
    for (const row of this.#rows.values()) row.tick?.(now);
    this.#inspector.tick(now);
  }

  #choose(key) {
    this.#chosen = key;
    this.#draw();
    const row = key === null ? null : this.#rows.get(key);
    if (row) row.root.scrollIntoView({ block: "nearest" });
    else if (this.#dom.grid.contains(document.activeElement) || document.activeElement === document.body) this.#focusRow();
  }

  #focusRow() {
    this.#rows.get(this.#focusKey)?.root.focus({ preventScroll: true });
  }

  #toggle(row) {
    this.#view.toggles.set(row.node.path, !row.open);
    this.#render();
  }

  #click(event) {
    const root = event.target.closest("[data-key]");
    const row = root && this.#shown.find((entry) => String(entry.key) === root.dataset.key);
    if (!row) return;
    this.#focusKey = row.key;
    if (row.type === "more") {
      if (row.folded) this.#view.toggles.set(`${row.path}/*`, true);
      else this.#view.limits.set(row.path, (this.#view.limits.get(row.path) ?? PAGE) + 4 * PAGE);
      this.#render();
    } else if (event.target.closest(".caret")) this.#toggle(row);
    else if (event.target.closest(".restart")) this.#actions.act(row.node, "restart");
    else this.#choose(this.#chosen === row.key ? null : row.key);
  }

  #key(event) {
    if (event.target.closest("button") && (event.key === "Enter" || event.key === " ")) return;
    const at = this.#shown.findIndex((row) => row.key === this.#focusKey);
    const row = this.#shown[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const parent = () => {
      for (let up = at - 1; up >= 0; up -= 1) if (this.#shown[up].depth < row.depth) return up;
      return at;
    };
    const open = row.type === "node" && row.open;
    switch (event.key) {
      case "ArrowDown":
        this.#focus(at + 1);
        break;
      case "ArrowUp":
        this.#focus(at - 1);
        break;
      case "Home":
        this.#focus(0);
        break;
      case "End":
        this.#focus(this.#shown.length - 1);
        break;
      case "ArrowRight":
        if (row.hasChildren && !open) this.#toggle(row);
        else if (open) this.#focus(at + 1);
        break;
      case "ArrowLeft":
        if (open && !this.#view.filter) this.#toggle(row);
        else this.#focus(parent());
        break;
      case "Enter":
      case " ":
        this.#rows.get(row.key).root.click();
        break;
      case "Escape":
        this.#choose(null);
        break;
      case "r":
        if (row.type === "node" && this.#actions.mayAct()) this.#actions.act(row.node, "restart");
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  #focus(at) {
    const row = this.#shown[Math.max(0, Math.min(this.#shown.length - 1, at))];
    if (!row) return;
    const before = this.#rows.get(this.#focusKey);
    if (before) before.root.tabIndex = -1;
    this.#focusKey = row.key;
    const { root } = this.#rows.get(row.key);
    root.tabIndex = 0;
    root.focus();
    root.scrollIntoView({ block: "nearest" });
  }
}

class MoreRow {
  type = "more";
  #text = element("span", { class: "more-text" });
  root = element("div", { role: "row", class: "row more" }, element("div", { role: "gridcell", class: "cell cell-name" }, this.#text));

  show(row) {
    this.root.dataset.key = row.key;
    this.root.style.setProperty("--depth", row.depth);
    setAttribute(this.root, "aria-level", row.depth + 1);
    this.root.classList.toggle("folded", Boolean(row.folded));
    setText(this.#text, row.folded ? plural(row.folded, "empty partition") : `Show ${Math.min(row.hidden, 4 * PAGE)} more of ${row.hidden}`);
  }
}

class NodeRow {
  type = "node";
  #caret = element("span", { class: "caret", "aria-hidden": "true" }, icon("chevron"));
  #dot = element("span", { class: "dot", "aria-hidden": "true" });
  #name = element("span", { class: "name" });
  #kind = element("span", { class: "kind" });
  #group = element("span", { class: "group" });
  #state = element("span", { class: "state" });
  #restarts = element("span", { class: "number" });
  #fill = element("span", { class: "fill" });
  #gauge = element("span", { class: "gauge", "aria-hidden": "true" }, this.#fill);
  #mailbox = element("span", { class: "number" });
  #age = element("span", { class: "number" });
  #restart = element("button", { type: "button", class: "restart quiet", tabindex: "-1", title: "Restart" }, icon("restart"), element("span", {}, "Restart"));
  #noteText = element("span", { class: "note-text" });
  #noteWhere = element("code", { class: "note-where" });
  #noteFill = element("span", { class: "fill" });
  #noteBar = element("span", { class: "wait", "aria-hidden": "true" }, this.#noteFill);
  #note = element("div", { class: "note", role: "gridcell" }, this.#noteBar, this.#noteText, this.#noteWhere);
  root = element(
    "div",
    { role: "row", class: "row" },
    element("div", { role: "gridcell", class: "cell cell-name" }, this.#caret, this.#dot, this.#name, this.#kind, this.#group),
    element("div", { role: "gridcell", class: "cell cell-state" }, this.#state),
    element("div", { role: "gridcell", class: "cell cell-restarts" }, this.#restarts),
    element("div", { role: "gridcell", class: "cell cell-mailbox" }, this.#gauge, this.#mailbox),
    element("div", { role: "gridcell", class: "cell cell-age" }, this.#age),
    element("div", { role: "gridcell", class: "cell cell-action" }, this.#restart),
    this.#note,
  );
  #node = null;
  #drawn = "";

  show(row, { now, mayAct, self, chosen }) {
    const { node } = row;
    const before = this.#node;
    const mark = `${row.depth} ${row.open} ${row.hasChildren} ${row.position}/${row.size} ${row.dim} ${chosen} ${mayAct} ${row.sum.count} ${row.sum.rank} ${row.open ? "" : summaryText(row.sum)}`;
    if (before === node && mark === this.#drawn) return;
    this.#node = node;
    this.#drawn = mark;
    this.#place(row, chosen);
    this.#fillIn(row, mayAct, self);
    this.tick(now);
    if (before && (before.state !== node.state || before.incarnation !== node.incarnation)) this.#flash();
  }

  #place(row, chosen) {
    const { node } = row;
    this.root.dataset.key = row.key;
    this.root.dataset.path = node.path;
    this.root.dataset.state = node.state;
    this.root.style.setProperty("--depth", row.depth);
    setAttribute(this.root, "aria-level", row.depth + 1);
    setAttribute(this.root, "aria-posinset", row.position);
    setAttribute(this.root, "aria-setsize", row.size);
    setAttribute(this.root, "aria-expanded", row.hasChildren ? row.open : null);
    setAttribute(this.root, "aria-selected", chosen);
    this.root.classList.toggle("dim", row.dim);
    this.root.classList.toggle("supervisor", node.type === "supervisor");
    this.#caret.classList.toggle("hidden", !row.hasChildren);
  }

  #fillIn(row, mayAct, self) {
    const { node, sum } = row;
    const info = stateInfo(node.state);
    const worst = stateInfo(sum.worst);
    const bubbled = sum.rank > info.rank && sum.rank >= 2;
    setAttribute(this.#dot, "data-tone", info.tone);
    setAttribute(this.#dot, "data-below", bubbled ? worst.tone : null);
    setText(this.#name, nameOf(node));
    setAttribute(this.#name, "title", node.path);
    setText(this.#kind, node.name === self ? "this page" : kindOf(node));
    const closed = row.hasChildren && !row.open;
    setText(this.#group, closed ? `${sum.count}: ${summaryText(sum)}` : bubbled ? `${worst.text} below` : "");
    setAttribute(this.#group, "data-tone", bubbled ? worst.tone : null);
    setAttribute(this.#state, "data-tone", info.tone);
    setText(this.#restarts, node.restarts > 0 ? `↻ ${node.restarts}` : "");
    const life = `incarnation ${node.incarnation}`;
    setAttribute(this.#restarts, "title", `${plural(node.restarts ?? 0, "restart")}, ${life}`);
    setAttribute(this.#restarts, "aria-label", node.restarts > 0 ? `${plural(node.restarts, "restart")}, ${life}` : null);
    this.#fillMailbox(node.mailbox);
    this.#restart.hidden = !mayAct;
    setAttribute(this.#restart, "aria-label", `Restart ${node.path}`);
  }

  #fillMailbox(mailbox) {
    this.#gauge.hidden = !mailbox?.depth;
    setAttribute(this.#mailbox, "data-empty", mailbox?.depth === 0 ? "" : null);
    setText(this.#mailbox, mailbox ? `${mailbox.depth}/${mailbox.bound ?? "∞"}` : "");
    if (!mailbox) return;
    const part = mailbox.bound ? Math.min(1, mailbox.depth / mailbox.bound) : 0;
    this.#fill.style.setProperty("--part", part);
    setAttribute(this.#gauge, "data-tone", part >= 0.9 ? "error" : part >= 0.5 ? "warn" : "ok");
    const waited = mailbox.oldestMs ? `, the oldest for ${duration(mailbox.oldestMs)}` : "";
    setAttribute(this.#mailbox, "title", `${mailbox.depth} of ${mailbox.bound ?? "∞"} messages waiting${waited}`);
  }

  tick(now) {
    const node = this.#node;
    if (!node) return;
    const until = node.nextAt ?? null;
    const waits = until !== null && (node.state === "backing_off" || node.state === "cooling_down");
    setText(this.#state, waits ? `${stateInfo(node.state).text} · ${countdown(until - now)}` : stateInfo(node.state).text);
    const lives = node.startedAt && node.state === "running";
    setText(this.#age, lives ? age(now - node.startedAt) : "");
    if (lives) setAttribute(this.#age, "title", `up ${duration(now - node.startedAt)}, incarnation ${node.incarnation}`);
    const note = noteOf(node, now);
    this.#note.hidden = !note;
    this.#noteBar.hidden = !waits;
    if (!note) return;
    setText(this.#noteText, note.text);
    setText(this.#noteWhere, note.where ?? "");
    setAttribute(this.#note, "data-tone", note.tone);
    if (waits) {
      const from = node.lastExit?.at ?? now;
      const whole = Math.max(1, until - from);
      this.#noteFill.style.setProperty("--part", Math.max(0, Math.min(1, (now - from) / whole)));
    }
  }

  #flash() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.root.classList.remove("flash");
    void this.root.offsetWidth;
    this.root.classList.add("flash");
  }
}

/** The second line of a row: why it is not simply running, or what it is doing. */
export function noteOf(node, now) {
  const exit = isFault(node.lastExit) ? node.lastExit : null;
  const why = exit ? faultText(exit) : node.lastExit?.text;
  const where = exit?.location ?? null;
  const tone = stateInfo(node.state).tone;
  switch (node.state) {
    case "backing_off": {
      const of = node.maxAttempts ? ` of ${node.maxAttempts}` : "";
      const attempt = node.attempt ? `attempt ${node.attempt}${of}` : "waits to be started again";
      return { text: `${attempt}${why ? ` · ${why}` : ""}`, where, tone };
    }
    case "cooling_down":
      return { text: `attempts used up${why ? ` · ${why}` : ""}`, where, tone };
    case "failed":
    case "zombie":
    case "restarting":
      return why ? { text: why, where, tone } : null;
    default:
      break;
  }
  if (node.busy && node.busy.what !== nameOf(node)) return { text: `${shortIds(node.busy.what)} · ${duration(now - node.busy.sinceMs)}`, where: null, tone: "busy" };
  if (exit && node.state === "running" && now - exit.at < RECENT_FAULT) {
    return { text: `last fault ${age(now - exit.at)} ago · ${why}`, where, tone: "past" };
  }
  return null;
}

/** A fault in one line; its class is said where the text alone would not tell. */
function faultText(exit) {
  const plain = ["error", "fatal"].includes(exit.class) || exit.text?.startsWith(exit.class);
  return plain && exit.text ? exit.text : `${exit.class.replaceAll("_", " ")}: ${exit.text ?? ""}`;
}
