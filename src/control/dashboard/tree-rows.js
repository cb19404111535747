// Which rows of the tree are on the page, what they are called, and how bad things are below each of them. Pure.

import { shortIds } from "./format.js";

/** A node with more children than this starts collapsed, with a summary in their place. */
export const GROUP_LIMIT = 12;
/** Children shown at once under one node; those in trouble are always among them. */
export const PAGE = 50;

/** Each state: the words for it, how it is coloured, and whether a parent should show it. */
export const STATES = {
  running: { text: "running", tone: "ok", rank: 0 },
  starting: { text: "starting", tone: "busy", rank: 1 },
  stopping: { text: "stopping", tone: "busy", rank: 1 },
  restarting: { text: "restarting", tone: "warn", rank: 2 },
  backing_off: { text: "backing off", tone: "warn", rank: 3 },
  cooling_down: { text: "cooling down", tone: "warn", rank: 3 },
  failed: { text: "failed", tone: "error", rank: 4 },
  zombie: { text: "zombie", tone: "error", rank: 4 },
  suspended: { text: "suspended", tone: "idle", rank: 0 },
  exited: { text: "exited", tone: "idle", rank: 0 },
  ignored: { text: "ignored", tone: "idle", rank: 0 },
};
const UNKNOWN = { text: "unknown", tone: "idle", rank: 0 };

/** What is known about a state; one we have never heard of is shown by its own name. */
export function stateInfo(state) {
  return STATES[state] ?? { ...UNKNOWN, text: String(state).replaceAll("_", " ") };
}

/** What an actor is called in its row. */
export function nameOf(node) {
  if (node.label) return node.label;
  return node.kind === "partition" ? `partition ${node.name}` : shortIds(node.name);
}

/** What else is said of what it is; nothing when its name says it. */
export function kindOf(node) {
  if (node.kind === "connection" && node.detail?.client) return node.detail.client.split("/")[0].replace(/^openclaw-/, "");
  const said = ["supervisor", "partition", node.name].includes(node.kind) || node.name.startsWith(`${node.kind}:`);
  return said && !(node.label && node.kind !== "supervisor") ? "" : node.kind.replaceAll("_", " ");
}

/** Whether an exit is a fault rather than an orderly end. */
export function isFault(exit) {
  return Boolean(exit) && !["normal", "shutdown", "stopped"].includes(exit.class);
}

const indexes = new WeakMap();

/** Children by parent in the order of their ids, and what lies below each node. Worked out once per set of nodes. */
export function indexTree(nodes) {
  const known = indexes.get(nodes);
  if (known) return known;
  const children = new Map();
  for (const node of nodes.values()) {
    const parent = node.parent !== null && nodes.has(node.parent) ? node.parent : null;
    const list = children.get(parent);
    if (list) list.push(node);
    else children.set(parent, [node]);
  }
  for (const list of children.values()) list.sort((a, b) => a.id - b.id);
  const below = new Map();
  const visit = (node) => {
    const info = stateInfo(node.state);
    const sum = { count: 0, states: new Map(), worst: node.state, rank: info.rank };
    for (const child of children.get(node.id) ?? []) {
      const inner = visit(child);
      sum.count += 1 + inner.count;
      sum.states.set(child.state, (sum.states.get(child.state) ?? 0) + 1);
      for (const [state, count] of inner.states) sum.states.set(state, (sum.states.get(state) ?? 0) + count);
      if (inner.rank > sum.rank) {
        sum.rank = inner.rank;
        sum.worst = inner.worst;
      }
    }
    below.set(node.id, sum);
    return sum;
  };
  for (const root of children.get(null) ?? []) visit(root);
  const index = { children, below };
  indexes.set(nodes, index);
  return index;
}

/** How many actors are in which state, worst first. */
export function totals(nodes) {
  const counts = new Map();
  for (const node of nodes.values()) counts.set(node.state, (counts.get(node.state) ?? 0) + 1);
  return [...counts]
    .map(([state, count]) => ({ state, count, ...stateInfo(state) }))
    .sort((a, b) => b.rank - a.rank || b.count - a.count);
}

/** `36 running, 2 backing off`, worst first. */
export function summaryText(sum) {
  return [...sum.states]
    .sort((a, b) => stateInfo(b[0]).rank - stateInfo(a[0]).rank || b[1] - a[1])
    .map(([state, count]) => `${count} ${stateInfo(state).text}`)
    .join(", ");
}

function matches(node, words, onlyTrouble) {
  if (onlyTrouble && stateInfo(node.state).rank < 2) return false;
  if (words.length === 0) return true;
  const text = [
    node.path,
    node.name,
    node.kind,
    node.label,
    stateInfo(node.state).text,
    node.busy?.what,
    node.lastExit?.text,
    ...Object.values(node.detail ?? {}),
  ]
    .filter(Boolean)
    .join(" ")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

/**
 * The rows to show, in order.
 *
 * `view`: `filter` (words, all of which must occur), `onlyTrouble`, `toggles` (path to open or shut, the user's choice),
 * `limits` (path to the number of children to show). Empty partitions share one row until `toggles` has `<path>/*`. With a filter, matches and their ancestors are shown, all open.
 */
export function rowsOf(nodes, view) {
  const { children, below } = indexTree(nodes);
  const words = view.filter.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const filtering = words.length > 0 || view.onlyTrouble;
  const kept = filtering ? keepMatches(nodes, words, view.onlyTrouble) : null;
  const rows = [];
  let matched = 0;
  const empty = (node) => node.kind === "partition" && !children.has(node.id) && stateInfo(node.state).rank === 0;
  const visit = (list, depth, parentPath) => {
    const folded = filtering || view.toggles.get(`${parentPath}/*`) ? [] : list.filter(empty);
    const present = list.filter((node) => (kept ? kept.has(node.id) : !folded.includes(node)));
    const shown = page(present, below, view.limits.get(parentPath) ?? PAGE);
    shown.forEach((node, at) => {
      const inner = children.get(node.id) ?? [];
      const open = filtering || (view.toggles.get(node.path) ?? inner.length <= GROUP_LIMIT);
      if (kept?.get(node.id)) matched += 1;
      rows.push({
        type: "node",
        key: node.id,
        node,
        depth,
        hasChildren: inner.length > 0,
        open: inner.length > 0 && open,
        sum: below.get(node.id),
        position: at + 1,
        size: present.length,
        dim: kept ? !kept.get(node.id) : false,
      });
      if (inner.length > 0 && open) visit(inner, depth + 1, node.path);
    });
    const hidden = present.length - shown.length;
    if (hidden > 0) rows.push({ type: "more", key: `more:${parentPath}`, path: parentPath, depth, hidden });
    if (folded.length > 0) rows.push({ type: "more", key: `empty:${parentPath}`, path: parentPath, depth, folded: folded.length });
  };
  visit(children.get(null) ?? [], 0, "");
  return { rows, matched, filtering };
}

/** Matching ids (true) and their ancestors (false). */
function keepMatches(nodes, words, onlyTrouble) {
  const kept = new Map();
  for (const node of nodes.values()) {
    if (!matches(node, words, onlyTrouble)) continue;
    kept.set(node.id, true);
    for (let up = nodes.get(node.parent); up && !kept.has(up.id); up = nodes.get(up.parent)) kept.set(up.id, false);
  }
  return kept;
}

function page(list, below, limit) {
  if (list.length <= limit) return list;
  return list.filter((node, at) => at < limit || below.get(node.id).rank >= 2);
}
