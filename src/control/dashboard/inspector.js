// The panel about one actor: everything the tree says of it, its last exits, and what may be done to it.

import { arrange, element, icon, setAttribute, setText } from "./dom.js";
import { clockTime, countdown, duration, heading, plural } from "./format.js";
import { isFault, nameOf, stateInfo } from "./tree-rows.js";

/** What can be done in which state, in the gateway's words. */
function actionsFor(node) {
  switch (node.state) {
    case "backing_off":
    case "cooling_down":
      return [["restart", "Restart now"], ["resetBackoff", "Reset backoff"], ["stop", "Stop"]];
    case "suspended":
      return [["resume", "Resume"], ["stop", "Stop"]];
    case "exited":
    case "ignored":
      return [["start", "Start"]];
    case "failed":
      return [["restart", "Restart"], ["resetBackoff", "Reset backoff"]];
    case "stopping":
    case "zombie":
      return [["restart", "Restart"]];
    default:
      return [["restart", "Restart"], ["suspend", "Suspend"], ["stop", "Stop"]];
  }
}

/** What was done about an exit. */
const HANDLING = {
  restart: "restart at once",
  backoff: "retry after a wait",
  cool_down: "retry after a cooldown",
  gave_up: "given up: attempts used up",
  failed: "stays down: a restart would not help",
  ended: "not to be started again",
  stopped: "asked to stop",
  suspended: "restarts are suspended",
  escalated: "its supervisor ends with it",
};

export class Inspector {
  #root;
  #actions;
  #node = null;
  #exits = null;
  #asked = null;
  #dot = element("span", { class: "dot", "aria-hidden": "true" });
  #title = element("h3", {});
  #path = element("code", { class: "path" });
  #state = element("span", { class: "state" });
  #buttons = element("div", { class: "buttons" });
  #facts = element("dl", { class: "facts" });
  #history = element("ol", { class: "exits" });
  #live = [];

  constructor(root, actions, onClose) {
    this.#root = root;
    this.#actions = actions;
    const close = element("button", { type: "button", class: "quiet icon-only", "aria-label": "Close", onclick: onClose }, icon("close"));
    const head = element("div", { class: "inspector-head" }, this.#dot, this.#title, this.#state, close);
    root.append(head, this.#path, this.#buttons, this.#facts, this.#history);
    root.addEventListener("keydown", (event) => event.key === "Escape" && onClose());
  }

  /** Shows this actor, or nothing. */
  show(node) {
    this.#root.hidden = !node;
    if (!node) {
      this.#node = null;
      this.#asked = null;
      return;
    }
    const changed = this.#node !== node;
    this.#node = node;
    if (!changed) return;
    this.#askHistory(node);
    const info = stateInfo(node.state);
    setAttribute(this.#dot, "data-tone", info.tone);
    setAttribute(this.#state, "data-tone", info.tone);
    setText(this.#title, nameOf(node));
    setText(this.#path, node.path);
    this.#drawButtons(node);
    this.#drawFacts(node);
    this.#drawHistory();
    this.tick(this.#actions.now());
  }

  /** Moves on what changes with time alone. */
  tick(now) {
    if (!this.#node) return;
    const node = this.#node;
    const text = stateInfo(node.state).text;
    setText(this.#state, node.nextAt && node.state !== "running" ? `${text} · ${countdown(node.nextAt - now)}` : text);
    for (const [target, write] of this.#live) setText(target, write(now));
  }

  #askHistory(node) {
    const mark = `${node.path} ${node.incarnation} ${node.lastExit?.at ?? 0}`;
    if (mark === this.#asked) return;
    if (this.#asked?.split(" ")[0] !== node.path) this.#exits = null;
    this.#asked = mark;
    this.#actions
      .history(node.path)
      .then((answer) => {
        if (this.#asked !== mark) return;
        this.#exits = answer?.exits ?? null;
        this.#drawHistory();
      })
      .catch(() => undefined);
  }

  #drawButtons(node) {
    const may = this.#actions.mayAct();
    const wanted = actionsFor(node);
    const key = `${may} ${wanted.map(([action]) => action).join(" ")}`;
    if (this.#buttons.dataset.key === key) return;
    this.#buttons.dataset.key = key;
    this.#buttons.replaceChildren(
      ...wanted.map(([action, text], at) =>
        element(
          "button",
          { type: "button", class: at === 0 ? "small primary" : "small", disabled: !may, onclick: () => this.#actions.act(this.#node, action) },
          text,
        ),
      ),
    );
  }

  #drawFacts(node) {
    this.#live = [];
    const facts = [];
    const add = (name, value, live) => {
      if (value === null || value === undefined || value === "") return;
      const cell = element("dd", {}, live ? "" : String(value));
      if (live) this.#live.push([cell, live]);
      facts.push(element("div", {}, element("dt", {}, name), cell));
    };
    add("Kind", node.kind === node.type ? node.kind : `${node.kind} (${node.type})`);
    add("Incarnation", node.incarnation);
    if (node.restarts) add("Restarts", node.restarts.toLocaleString("en"));
    if (node.startedAt && node.state === "running") add("Up", true, (now) => `${duration(now - node.startedAt)}, since ${clockTime(node.startedAt, now)}`);
    add("Restart policy", node.restart);
    add("Strategy", node.strategy?.replaceAll("_", " "));
    const budget = node.intensity;
    if (budget) add("Budget", `${budget.used} of ${plural(budget.max, "restart")} in ${duration(budget.periodMs)}`);
    if (node.attempt && node.state !== "running") add("Attempt", node.maxAttempts ? `${node.attempt} of ${node.maxAttempts}` : node.attempt);
    if (node.busy) add("Busy with", true, (now) => `${node.busy.what}, for ${duration(now - node.busy.sinceMs)}`);
    const box = node.mailbox;
    if (box) add("Mailbox", `${box.depth} of ${box.bound ?? "∞"}${box.oldestMs ? `, oldest ${duration(box.oldestMs)}` : ""}`);
    add("Handled", `${(node.handled ?? 0).toLocaleString("en")}${node.failed ? `, ${node.failed.toLocaleString("en")} failed` : ""}`);
    for (const [key, value] of Object.entries(node.detail ?? {})) add(heading(key), value);
    this.#facts.replaceChildren(...facts);
  }

  #drawHistory() {
    const exits = this.#exits ?? (this.#node?.lastExit ? [this.#node.lastExit] : []);
    const newest = [...exits].sort((a, b) => b.at - a.at).slice(0, 20);
    this.#history.hidden = newest.length === 0;
    arrange(
      this.#history,
      newest.map((exit) =>
        element(
          "li",
          { "data-tone": isFault(exit) ? "error" : "idle" },
          element("time", {}, clockTime(exit.at, this.#actions.now(), { seconds: true })),
          element("span", { class: "exit-class" }, exit.class),
          element("span", { class: "exit-text" }, exit.text ?? ""),
          exit.location ? element("code", {}, exit.location) : null,
          exit.handling ? element("span", { class: "exit-handling" }, HANDLING[exit.handling] ?? exit.handling) : null,
        ),
      ),
    );
  }
}
