// The list of sessions: those the gateway knows, each agent's main one, and the one that is open.

import { element } from "./dom.js";
import { middle, sessionName } from "./format.js";

const CHOSEN = "openclawd.session";

export class SessionPicker {
  #select;
  #main = "agent:main:main";
  #mains = [];
  #sessions = [];
  current = null;

  constructor(select, onChoose) {
    this.#select = select;
    select.addEventListener("change", () => onChoose(select.value));
  }

  /** What the gateway calls its main session. */
  setDefaults(defaults) {
    this.#main = defaults?.mainSessionKey ?? this.#main;
    let kept = null;
    try {
      kept = sessionStorage.getItem(CHOSEN);
    } catch {
      // Nothing is kept then.
    }
    this.current ??= kept ?? this.#main;
    this.#draw();
  }

  /** The rows of `sessions.list` and the answer of `agents.list`. */
  setSessions(sessions, agents) {
    this.#sessions = sessions.filter((row) => typeof row?.key === "string");
    const mainKey = agents?.mainKey ?? "main";
    this.#mains = (agents?.agents ?? []).map((agent) => `agent:${agent.id}:${mainKey}`);
    this.#draw();
  }

  /** Marks a session as the open one. */
  choose(key) {
    this.current = key;
    try {
      sessionStorage.setItem(CHOSEN, key);
    } catch {
      // Nothing is kept then.
    }
    this.#draw();
  }

  /** A key for a conversation that does not exist yet, with the agent of the open one. */
  fresh() {
    const agent = /^agent:([^:]+):/.exec(this.current ?? this.#main)?.[1] ?? "main";
    const now = new Date();
    const two = (value) => String(value).padStart(2, "0");
    const stamp = `${two(now.getMonth() + 1)}-${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
    return `agent:${agent}:dashboard-${stamp}`;
  }

  #draw() {
    const known = new Map(this.#sessions.map((row) => [row.key, row]));
    const keys = [...new Set([this.#main, ...this.#mains, ...known.keys(), this.current].filter(Boolean))];
    const options = keys.map((key) => {
      const row = known.get(key);
      const title = row?.label ?? row?.displayName ?? row?.derivedTitle;
      const name = title && title !== key ? `${middle(title, 40)} (${sessionName(key)})` : sessionName(key);
      return element("option", { value: key, title: key }, middle(name, 64));
    });
    const drawn = options.map((option) => `${option.value} ${option.textContent}`).join("\n");
    if (this.#select.dataset.drawn !== drawn) {
      this.#select.dataset.drawn = drawn;
      this.#select.replaceChildren(...options);
    }
    if (this.current) this.#select.value = this.current;
  }
}
