// Checks of the dashboard's pure modules; `run()` gives `[{name, error?}]`.

import { emptyTree, reduceTree } from "/openclawd/tree-reducer.js";
import { GROUP_LIMIT, PAGE, kindOf, nameOf, rowsOf, totals } from "/openclawd/tree-rows.js";
import { emptyChat, itemsOf, liveTurns, reduceChat, turnBlocks } from "/openclawd/chat-reducer.js";
import { inlineSpans, textBlocks } from "/openclawd/text-blocks.js";
import { age, countdown, duration, sessionName } from "/openclawd/format.js";
import { base64url, signedText } from "/openclawd/identity.js";
import { explainRefusal, reconnectDelay } from "/openclawd/protocol.js";

const checks = [];
const check = (name, body) => checks.push({ name, body });

function same(actual, expected, what = "value") {
  const [left, right] = [actual, expected].map((value) => JSON.stringify(value, sorted));
  if (left !== right) throw new Error(`${what}: ${left} is not ${right}`);
}

const sorted = (_key, value) =>
  value && typeof value === "object" && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** A small generator of numbers that gives the same row of them for the same seed. */
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
}

/** A naive gateway: holds the true tree, and tells what it does as deltas. */
class Model {
  nodes = new Map();
  seq = 0;
  nextId = 1;
  constructor(seed) {
    this.pick = numbers(seed);
    this.add(null);
  }
  any() {
    return [...this.nodes.values()][this.pick(this.nodes.size)];
  }
  add(parent) {
    const id = this.nextId++;
    const node = { id, parent: parent?.id ?? null, path: `${parent?.path ?? ""}/n${id}`, name: `n${id}`, kind: "k", type: "worker" };
    Object.assign(node, { state: "running", incarnation: 1, restarts: 0, mailbox: { depth: 0, bound: 8 }, handled: 0, failed: 0 });
    this.nodes.set(id, node);
    return { op: "add", node: structuredClone(node) };
  }
  patch(node) {
    const backing = this.pick(2) === 0;
    const fields = backing
      ? { state: "backing_off", nextAt: this.pick(1000), lastExit: { class: "panic", text: "x", at: this.pick(9) } }
      : { state: "running", nextAt: null, incarnation: node.incarnation + 1 };
    for (const [key, value] of Object.entries(fields)) {
      if (value === null) delete node[key];
      else node[key] = value;
    }
    return { op: "patch", id: node.id, fields };
  }
  remove(node) {
    const gone = [node];
    for (const each of gone) {
      this.nodes.delete(each.id);
      gone.push(...[...this.nodes.values()].filter((child) => child.parent === each.id));
    }
    return gone.reverse().map((each) => ({ op: "remove", id: each.id }));
  }
  step() {
    const ops = [];
    for (let left = 1 + this.pick(4); left > 0; left -= 1) {
      const node = this.any();
      const what = this.pick(5);
      if (what < 2) ops.push(this.add(node));
      else if (what < 4 || node.parent === null) ops.push(this.patch(node));
      else ops.push(...this.remove(node));
    }
    const metrics = [];
    if (this.pick(2)) {
      const node = this.any();
      Object.assign(node, { handled: node.handled + 3, failed: 1 });
      node.mailbox = { ...node.mailbox, depth: this.pick(8) };
      metrics.push({ id: node.id, depth: node.mailbox.depth, handled: node.handled, failed: 1 });
    }
    this.seq += 1;
    return { epoch: 1, seq: this.seq, ops, metrics };
  }
  snapshot() {
    return { epoch: 1, seq: this.seq, ts: 5, nodes: structuredClone([...this.nodes.values()]) };
  }
}

const nodesOf = (state) => [...state.nodes.values()].sort((a, b) => a.id - b.id);
const snapshotOf = (model) => reduceTree(emptyTree(), { type: "snapshot", snapshot: model.snapshot(), receivedAt: 0 }).state;

check("snapshot and deltas give what a later snapshot gives", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const model = new Model(seed);
    let state = snapshotOf(model);
    for (let step = 0; step < 30; step += 1) {
      const before = JSON.stringify(nodesOf(state));
      const result = reduceTree(state, { type: "delta", delta: model.step() });
      same(result.resync, false, `seed ${seed}: resync`);
      same(JSON.stringify(nodesOf(state)), before, `seed ${seed}: the old state is untouched`);
      state = result.state;
    }
    same(nodesOf(state), nodesOf(snapshotOf(model)), `seed ${seed}`);
  }
});

check("deltas around a snapshot under way are neither lost nor taken twice", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const model = new Model(seed);
    const early = [model.step(), model.step()];
    const snapshot = model.snapshot();
    const late = [model.step(), model.step()];
    const order = seed % 2 ? [...early, ...late, null] : [...early, late[0], null, late[1]];
    let state = emptyTree();
    for (const delta of order) {
      const action = delta ? { type: "delta", delta } : { type: "snapshot", snapshot, receivedAt: 0 };
      const result = reduceTree(state, action);
      same(result.resync, false, `seed ${seed}: resync`);
      state = result.state;
    }
    same(nodesOf(state), nodesOf(snapshotOf(model)), `seed ${seed}`);
  }
});

check("a hole, another epoch, a reset and an unknown id ask for a snapshot", () => {
  const model = new Model(3);
  const state = snapshotOf(model);
  const next = { epoch: 1, seq: state.seq + 1, ops: [] };
  const asks = (delta) => reduceTree(state, { type: "delta", delta }).resync;
  same(asks(next), false);
  same(asks({ ...next, seq: state.seq + 2 }), true);
  same(asks({ ...next, epoch: 2 }), true);
  same(asks({ ...next, reset: true }), true);
  same(asks({ ...next, ops: [{ op: "patch", id: 999, fields: {} }] }), true);
  same(reduceTree(state, { type: "lost" }).resync, true);
});

check("an old delta changes nothing", () => {
  const state = snapshotOf(new Model(4));
  const result = reduceTree(state, { type: "delta", delta: { epoch: 1, seq: state.seq, ops: [{ op: "remove", id: 1 }] } });
  same(result.resync, false);
  same(result.state === state, true);
});

check("counters alone carry the last number and are taken; older ones, and others' are not", () => {
  const state = snapshotOf(new Model(6));
  const metrics = [{ id: 1, depth: 7, handled: 41, failed: 2, oldestMs: 900 }];
  const take = (delta) => reduceTree(state, { type: "delta", delta: { epoch: 1, seq: state.seq, metrics, ...delta } });
  const taken = take({});
  same(taken.resync, false);
  same(taken.state.seq, state.seq);
  same(taken.state.nodes.get(1).handled, 41);
  same(taken.state.nodes.get(1).mailbox, { depth: 7, bound: 8, oldestMs: 900 });
  const wider = reduceTree(state, { type: "delta", delta: { epoch: 1, seq: state.seq, metrics: [{ ...metrics[0], bound: 16 }] } });
  same(wider.state.nodes.get(1).mailbox.bound, 16);
  same(state.nodes.get(1).handled, 0, "the old state is untouched");
  same(take({ seq: state.seq - 1 }).state === state, true);
  same(take({ epoch: 2 }).resync, true);
  same(take({ seq: state.seq + 1 }).state.seq, state.seq + 1);
});

check("while a snapshot is asked for, the old picture stays and no second one is asked for", () => {
  const state = snapshotOf(new Model(5));
  const lost = reduceTree(state, { type: "delta", delta: { epoch: 1, seq: 99, ops: [] } }).state;
  same(lost.nodes.size, state.nodes.size);
  same(reduceTree(lost, { type: "delta", delta: { epoch: 1, seq: 100, ops: [] } }).resync, false);
});

check("the gateway's clock is taken from the snapshot", () => {
  const result = reduceTree(emptyTree(), { type: "snapshot", snapshot: { epoch: 1, seq: 1, ts: 5000, nodes: [] }, receivedAt: 2000 });
  same(result.state.skewMs, 3000);
});

// --- rows ---

const view = (extra = {}) => ({ filter: "", onlyTrouble: false, toggles: new Map(), limits: new Map(), ...extra });
function family(count, states = {}) {
  const nodes = new Map([[1, { id: 1, parent: null, path: "root", name: "root", kind: "root", state: "running" }]]);
  for (let at = 0; at < count; at += 1) {
    const id = 10 + at;
    nodes.set(id, { id, parent: 1, path: `root/c${at}`, name: `c${at}`, kind: "child", state: states[at] ?? "running" });
  }
  return nodes;
}
const names = (rows) => rows.map((row) => (row.type === "node" ? row.node.name : `+${row.hidden}`));

check("empty partitions share one row, names say what they name", () => {
  const nodes = family(3);
  for (const id of [10, 11, 12]) nodes.set(id, { ...nodes.get(id), kind: "partition", name: String(id) });
  const session = { id: 90, parent: 11, path: "root/c1/s", name: "s", kind: "session", state: "running" };
  nodes.set(90, session);
  const { rows } = rowsOf(nodes, view());
  same(rows.map((row) => row.node?.name ?? row.folded), ["root", "11", "s", 2]);
  same(rowsOf(nodes, view({ toggles: new Map([["root/*", true]]) })).rows.length, 5);
  same(rowsOf(nodes, view({ filter: "c2" })).rows.map((row) => row.node.name), ["root", "12"]);
  same([nameOf(nodes.get(11)), kindOf(nodes.get(11)), kindOf(session)], ["partition 11", "", "session"]);
  const run = { name: "run:4371c170-5508-4f9f-a60c-3d42175a95d8", kind: "run" };
  same([nameOf(run), kindOf(run)], ["run:4371c170…", ""]);
  same([nameOf({ ...run, label: "clock", kind: "tool" }), kindOf({ ...run, label: "clock", kind: "tool" })], ["clock", "tool"]);
});

check("few children are open, many are a summary", () => {
  same(names(rowsOf(family(2), view()).rows), ["root", "c0", "c1"]);
  const many = rowsOf(family(GROUP_LIMIT + 1, { 3: "failed" }), view()).rows;
  same(names(many), ["root"]);
  same(many[0].sum.worst, "failed");
  same([...many[0].sum.states], [["running", GROUP_LIMIT], ["failed", 1]]);
});

check("the user's choice wins over the default", () => {
  same(names(rowsOf(family(2), view({ toggles: new Map([["root", false]]) })).rows), ["root"]);
});

check("a long list is shown in pages, and trouble is always on the first", () => {
  const rows = rowsOf(family(PAGE + 30, { [PAGE + 20]: "backing_off" }), view({ toggles: new Map([["root", true]]) })).rows;
  same(rows.length, 1 + PAGE + 1 + 1);
  same(rows.at(-2).node.name, `c${PAGE + 20}`);
  same(rows.at(-1).hidden, 29);
});

check("a filter shows matches with their ancestors", () => {
  const result = rowsOf(family(30, { 7: "failed" }), view({ filter: "C7" }));
  same(names(result.rows), ["root", "c7"]);
  same(result.matched, 1);
  same(result.rows[0].dim, true);
  same(names(rowsOf(family(30, { 7: "failed" }), view({ onlyTrouble: true })).rows), ["root", "c7"]);
  same(names(rowsOf(family(3), view({ filter: "nobody" })).rows), []);
});

check("totals put the worst first", () => {
  same(totals(family(3, { 1: "failed" })).map((entry) => `${entry.count} ${entry.state}`), ["1 failed", "3 running"]);
});

// --- chat ---

const KEY = "agent:main:main";
const event = (state, extra = {}) => ({ type: "chat", payload: { runId: "r", sessionKey: KEY, state, ...extra }, at: 1 });
const tool = (data) => ({ type: "agent", payload: { runId: "r", sessionKey: KEY, stream: "tool", data }, at: 1 });
const says = (text) => ({ role: "assistant", content: [{ type: "text", text }] });
const play = (actions, start = { ...emptyChat(KEY), loaded: true }) => actions.reduce(reduceChat, start);
const onlyTurn = (chat) => chat.items.find((item) => item.type === "turn");

check("deltas append, `replace` rewrites, the cumulative text heals a missed part", () => {
  same(onlyTurn(play([event("delta", { deltaText: "a" }), event("delta", { deltaText: "b" })])).text, "ab");
  same(onlyTurn(play([event("delta", { deltaText: "a" }), event("delta", { deltaText: "z", replace: true })])).text, "z");
  same(onlyTurn(play([event("delta", { deltaText: "a" }), event("delta", { deltaText: "c", message: says("abc") })])).text, "abc");
});

check("a run ends as final, aborted or error, and a later error is taken too", () => {
  same(onlyTurn(play([event("delta", { deltaText: "ab" }), event("final", { message: says("abc") })])).text, "abc");
  const aborted = onlyTurn(play([event("delta", { deltaText: "ab" }), event("aborted")]));
  same([aborted.state, aborted.text], ["aborted", "ab"]);
  const failed = play([event("error", { errorMessage: "one" }), event("error", { errorMessage: "two", seq: 1 })]);
  same([failed.items.length, onlyTurn(failed).error], [1, "two"]);
  same(liveTurns(failed), []);
});

check("a final with the last part only keeps what was said before a tool", () => {
  const turn = onlyTurn(
    play([
      event("delta", { deltaText: "Look: " }),
      tool({ phase: "start", name: "exec", toolCallId: "t", args: { command: "ls" } }),
      event("delta", { deltaText: "done" }),
      tool({ phase: "result", name: "exec", toolCallId: "t", result: says("out") }),
      event("final", { message: says("done") }),
    ]),
  );
  same(turnBlocks(turn).map((block) => block.text ?? block.tool.output), ["Look: ", "out", "done"]);
});

check("an answer stands right below its question, even when questions queue", () => {
  const chat = play([
    { type: "send", runId: "q1", text: "one", at: 1 },
    { type: "accepted", runId: "q1", status: "started", at: 1 },
    { type: "send", runId: "q2", text: "two", at: 2 },
    { type: "accepted", runId: "q2", status: "started", at: 2 },
    { type: "chat", payload: { runId: "q1", sessionKey: KEY, state: "delta", deltaText: "1" }, at: 3 },
  ]);
  same(chat.items.map((item) => `${item.type} ${item.runId}`), ["user q1", "turn q1", "user q2", "turn q2"]);
  same(liveTurns(chat).length, 2);
});

check("events of other sessions change nothing", () => {
  const start = { ...emptyChat(KEY), loaded: true };
  same(reduceChat(start, { type: "chat", payload: { runId: "r", sessionKey: "agent:main:x", state: "delta", deltaText: "a" } }) === start, true);
});

const HISTORY = [
  { role: "user", content: "hi", timestamp: 1, idempotencyKey: "r:user" },
  { role: "assistant", timestamp: 2, stopReason: "toolUse", content: [{ type: "text", text: "Look." }, { type: "toolCall", id: "t", name: "exec", arguments: { a: 1 } }] },
  { role: "toolResult", toolCallId: "t", content: [{ type: "text", text: "out" }], isError: true, timestamp: 3 },
  { role: "assistant", timestamp: 4, stopReason: "stop", content: [{ type: "text", text: "Done." }], usage: { output: 5 } },
];

check("a transcript becomes questions and turns", () => {
  const [question, turn, ...rest] = itemsOf(HISTORY);
  same([question.text, question.runId, rest.length], ["hi", "r", 0]);
  same(turnBlocks(turn).map((block) => block.text?.trim() ?? block.tool.status), ["Look.", "failed", "Done."]);
});

check("reading the record again keeps what runs and drops what has ended", () => {
  const running = play([
    { type: "send", runId: "r", text: "hi", at: 1 },
    { type: "accepted", runId: "r", status: "started", at: 1 },
    event("delta", { deltaText: "Look" }),
  ]);
  const still = reduceChat(running, { type: "history", history: { messages: HISTORY.slice(0, 1) }, afterCut: true });
  same(still.items.map((item) => item.type), ["user", "turn"]);
  same(onlyTurn(still).text, "Look");
  const over = reduceChat(running, { type: "history", history: { messages: HISTORY }, afterCut: true });
  same(over.items.map((item) => item.type), ["user", "turn"]);
  same([onlyTurn(over).state, liveTurns(over).length], ["final", 0]);
});

check("a run in flight is joined where it is", () => {
  const chat = play([{ type: "history", history: { messages: HISTORY.slice(0, 1), inFlightRun: { runId: "r", text: "Half" } } }], emptyChat(KEY));
  same([onlyTurn(chat).text, liveTurns(chat).length], ["Half", 1]);
  same(onlyTurn(reduceChat(chat, event("delta", { deltaText: " way" }))).text, "Half way");
});

check("a run in flight whose steps are on record goes on from there", () => {
  const history = { messages: HISTORY.slice(0, 2), inFlightRun: { runId: "r", text: "", startedAt: 7 } };
  const chat = play([{ type: "history", history }], emptyChat(KEY));
  same([chat.items.length, liveTurns(chat).length, onlyTurn(chat).startedAt], [2, 1, 7]);
  same(turnBlocks(onlyTurn(chat)).map((block) => block.text ?? block.tool.status), ["Look.", "running"]);
  const more = reduceChat(chat, event("delta", { deltaText: "Done.", message: says("Look.Done.") }));
  same(turnBlocks(onlyTurn(more)).map((block) => block.text ?? block.tool.status), ["Look.", "running", "Done."]);
  const again = reduceChat(more, { type: "history", history });
  same(again.items.length, 2, "the record does not repeat what is shown");
});

check("a message not yet accepted survives a reload of the record", () => {
  const chat = play([{ type: "send", runId: "q", text: "new", at: 1 }, { type: "history", history: { messages: HISTORY } }]);
  same(chat.items.at(-1).text, "new");
  same(chat.items.at(-1).delivery, "sending");
});

// --- the rest ---

check("fences are code, open ones too, and the rest is text", () => {
  const blocks = textBlocks("one\n\n```rust\nfn a() {}\n```\ntwo\n~~~\nopen");
  same(blocks.map((block) => [block.type, block.text, block.language ?? ""]), [
    ["text", "one", ""],
    ["code", "fn a() {}", "rust"],
    ["text", "two", ""],
    ["code", "open", ""],
  ]);
  same(inlineSpans("a `b` **c**").map((span) => `${span.type}:${span.text}`), ["plain:a ", "code:b", "plain: ", "bold:c"]);
});

check("times read well", () => {
  same([duration(8_400), duration(245_000), duration(11_520_000), duration(187_200_000)], ["8 s", "4 m 05 s", "3 h 12 m", "2 d 4 h"]);
  same([countdown(-5), countdown(4_020), countdown(61_000), age(7_300_000)], ["now", "4.1 s", "1 m 01 s", "2 h"]);
  same([sessionName("agent:main:main"), sessionName("agent:ops:telegram:1")], ["Main session", "ops · telegram:1"]);
});

check("what a device signs has the agreed form", () => {
  const text = signedText({
    deviceId: "d",
    client: { id: "cli", mode: "cli", platform: " Linux ", deviceFamily: "Linux" },
    role: "operator",
    scopes: ["operator.read", "operator.write"],
    signedAt: 1737264000000,
    token: "<TOKEN>",
    nonce: "n",
  });
  same(text, "v3|d|cli|cli|operator|operator.read,operator.write|1737264000000|<TOKEN>|n|linux|linux");
  same(base64url(new Uint8Array([251, 255, 0])), "-_8A");
});

check("waiting for the gateway doubles and stays below its cap", () => {
  same([reconnectDelay(0, 1), reconnectDelay(1, 1), reconnectDelay(2, 0)], [500, 1000, 1000]);
  same(reconnectDelay(40, 1), 30_000);
});

check("each refusal says what to do", () => {
  const asks = (code, auth) => explainRefusal({ code: "INVALID_REQUEST", message: "m", details: { code } }, auth).asks;
  same(asks("AUTH_TOKEN_MISMATCH", { token: "x" }), "secret");
  same(asks("AUTH_TOKEN_MISSING", null), "secret");
  same(asks("PAIRING_REQUIRED", { token: "x" }), "approval");
  same(asks("AUTH_RATE_LIMITED", { token: "x" }), "wait");
  same(asks("CONTROL_UI_ORIGIN_NOT_ALLOWED", { token: "x" }), "nothing");
});

/** Runs all of them. */
export function run() {
  return checks.map(({ name, body }) => {
    try {
      body();
      return { name };
    } catch (error) {
      return { name, error: String(error?.message ?? error) };
    }
  });
}
