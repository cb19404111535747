// The actors on the page: the state of the tree, how it is fetched and followed, and what a person does to an actor.

import { setAttribute, setText } from "./dom.js";
import { askFirst, toast } from "./shell.js";
import { emptyTree, reduceTree } from "./tree-reducer.js";
import { nameOf } from "./tree-rows.js";
import { TreeView } from "./tree-view.js";

const $ = (id) => document.getElementById(id);

/** Each action: what it is called, and what is said while it is done. */
const VERBS = {
  restart: ["Restart", "Restarting"],
  stop: ["Stop", "Stopping"],
  start: ["Start", "Starting"],
  suspend: ["Suspend", "Suspending"],
  resume: ["Resume", "Resuming"],
  resetBackoff: ["Reset the backoff of", "Backoff reset:"],
};

export class ActorTree {
  #gateway;
  #tree = emptyTree();
  #fetching = false;
  #view;

  /** `gateway`: `request(method, params)`, `online`, `has(method)`, `mayAct()`, `self()`. */
  constructor(gateway) {
    this.#gateway = gateway;
    this.#view = new TreeView(
      {
        grid: $("grid"),
        body: $("rows"),
        empty: $("tree-empty"),
        filter: $("filter"),
        summary: $("tree-summary"),
        trouble: $("trouble"),
        troubleText: $("trouble-text"),
        inspector: $("inspector"),
        onTrouble(count, tone) {
          $("tab-badge").hidden = count === 0;
          setText($("tab-badge"), String(count));
          setAttribute($("tab-badge"), "data-tone", tone);
        },
      },
      {
        now: () => Date.now() + this.#tree.skewMs,
        mayAct: () => gateway.mayAct(),
        current: () => gateway.online,
        self: () => gateway.self(),
        history: (path) => (gateway.has("tree.history") ? gateway.request("tree.history", { path }) : Promise.resolve(null)),
        act: (node, action) => this.#act(node, action),
      },
    );
  }

  /** Takes one `tree.delta`. */
  receive(delta) {
    this.#step({ type: "delta", delta });
  }

  /** The line was cut, or events went missing: what is shown is history until the next snapshot. */
  lost() {
    this.#step({ type: "lost" });
  }

  /** Subscribes on a new connection and takes the picture the deltas start from. */
  async follow() {
    if (!this.#gateway.has("tree.snapshot")) {
      setText($("tree-empty"), "This gateway does not report its actors.");
      return;
    }
    await this.#gateway.request("tree.subscribe").catch((error) => toast(`No live tree: ${error.message}`, "error"));
    await this.#fetch();
  }

  /** Draws what it holds, after the page was out of sight. */
  redraw() {
    this.#view.update(this.#tree);
  }

  #step(action) {
    const result = reduceTree(this.#tree, action);
    this.#tree = result.state;
    this.redraw();
    if (result.resync) void this.#fetch();
  }

  async #fetch() {
    if (this.#fetching || !this.#gateway.online || !this.#gateway.has("tree.snapshot")) return;
    this.#fetching = true;
    let again = false;
    try {
      const snapshot = await this.#gateway.request("tree.snapshot");
      const result = reduceTree(this.#tree, { type: "snapshot", snapshot, receivedAt: Date.now() });
      this.#tree = result.state;
      again = result.resync;
      this.redraw();
    } catch (error) {
      if (!error.lost) setTimeout(() => this.#fetch(), 1000);
    } finally {
      this.#fetching = false;
    }
    if (again) setTimeout(() => this.#fetch(), 100);
  }

  async #act(node, action) {
    const [verb, doing] = VERBS[action];
    const name = nameOf(node);
    const question = risk(node, action);
    if (question && !(await askFirst(`${verb} ${name}?`, question, verb))) return;
    try {
      await this.#gateway.request("tree.act", { path: node.path, action });
      toast(`${doing} ${node.path}`, "ok");
    } catch (error) {
      const text = error.lost ? `${doing} ${node.path}; the connection was cut.` : `${verb} ${name}: ${error.message}`;
      toast(text, error.lost ? "warn" : "error");
    }
  }
}

/** What a person should know before doing this; null when it heals by itself at once. */
function risk(node, action) {
  if (action === "stop") return `${node.path} stays down until someone starts it again.`;
  if (action === "suspend") return `${node.path} takes no work until someone resumes it.`;
  if (action !== "restart") return null;
  if (node.parent === null) return "This restarts the whole gateway. This page will lose its connection and come back.";
  if (/\/control(\/|$)/.test(node.path)) return "This page is connected through it. The connection is cut and comes back by itself.";
  return node.type === "supervisor" ? `Everything below ${node.path} is stopped and started again.` : null;
}
