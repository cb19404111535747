// The actor tree as the page knows it: one pure function over snapshots and deltas.
//
// Invariant: a snapshot followed by deltas gives the same nodes as a snapshot taken afterwards. A delta is applied when
// it is the very next one; anything else asks for a new snapshot (`resync`), and the old picture stays until it is here.
// Deltas that arrive while a snapshot is under way wait in `pending`, because the answer may overtake them or fall behind.

/** Deltas kept while a snapshot is under way; more than this and another snapshot is cheaper. */
const PENDING_LIMIT = 512;

/** The state before anything was received. */
export function emptyTree() {
  return { epoch: null, seq: null, skewMs: 0, waiting: true, nodes: new Map(), pending: [] };
}

/**
 * Applies one action and says whether a new snapshot is needed.
 *
 * Actions: `{type:"snapshot", snapshot, receivedAt}`, `{type:"delta", delta}`, `{type:"lost"}` (connection gone, or the
 * event stream has a hole: what we hold is history until the next snapshot).
 * Returns `{state, resync}`; never changes the state it was given.
 */
export function reduceTree(state, action) {
  switch (action.type) {
    case "snapshot":
      return takeSnapshot(state, action.snapshot, action.receivedAt);
    case "delta":
      return takeDelta(state, action.delta);
    case "lost":
      return { state: { ...state, waiting: true, pending: [] }, resync: true };
    default:
      return { state, resync: false };
  }
}

function takeSnapshot(state, snapshot, receivedAt) {
  let next = {
    epoch: snapshot.epoch,
    seq: snapshot.seq,
    skewMs: typeof snapshot.ts === "number" && typeof receivedAt === "number" ? snapshot.ts - receivedAt : state.skewMs,
    waiting: false,
    nodes: new Map(snapshot.nodes.map((node) => [node.id, tidy(node)])),
    pending: [],
  };
  for (const delta of state.pending) {
    if (delta.reset && delta.epoch === next.epoch && delta.seq <= next.seq) continue;
    const result = takeDelta(next, delta);
    if (result.resync) return result;
    next = result.state;
  }
  return { state: next, resync: false };
}

function takeDelta(state, delta) {
  if (state.waiting) {
    const keep = !delta.reset && state.pending.length < PENDING_LIMIT;
    const pending = keep ? [...state.pending, delta] : [delta];
    return { state: { ...state, pending }, resync: false };
  }
  const counts = delta.ops === undefined && delta.metrics !== undefined;
  if (counts && delta.epoch === state.epoch && delta.seq === state.seq) {
    return { state: { ...state, nodes: withMetrics(new Map(state.nodes), delta.metrics) }, resync: false };
  }
  const stale = delta.epoch === state.epoch && !delta.reset && delta.seq <= state.seq;
  if (stale) return { state, resync: false };
  if (delta.reset || delta.epoch !== state.epoch || delta.seq !== state.seq + 1) return ask(state, []);
  const nodes = new Map(state.nodes);
  for (const op of delta.ops ?? []) {
    if (!applyOp(nodes, op)) return ask(state, []);
  }
  withMetrics(nodes, delta.metrics ?? []);
  return { state: { ...state, seq: delta.seq, nodes }, resync: false };
}

/** Keeps the picture, drops the claim that it is current. */
function ask(state, pending) {
  return { state: { ...state, waiting: true, pending }, resync: true };
}

function applyOp(nodes, op) {
  switch (op.op) {
    case "add":
      nodes.set(op.node.id, tidy(op.node));
      return true;
    case "remove":
      removeWithChildren(nodes, op.id);
      return true;
    case "patch": {
      const node = nodes.get(op.id);
      if (!node) return false;
      nodes.set(op.id, tidy({ ...node, ...op.fields }));
      return true;
    }
    default:
      return false;
  }
}

function removeWithChildren(nodes, id) {
  if (!nodes.delete(id)) return;
  const gone = new Set([id]);
  let found = true;
  while (found) {
    found = false;
    for (const node of nodes.values()) {
      if (gone.has(node.parent)) {
        gone.add(node.id);
        nodes.delete(node.id);
        found = true;
      }
    }
  }
}

function withMetrics(nodes, metrics) {
  for (const metric of metrics) applyMetric(nodes, metric);
  return nodes;
}

function applyMetric(nodes, metric) {
  const node = nodes.get(metric.id);
  if (!node) return;
  const next = { ...node };
  if (metric.handled !== undefined) next.handled = metric.handled;
  if (metric.failed !== undefined) next.failed = metric.failed;
  const bound = metric.bound ?? node.mailbox?.bound;
  if (bound !== undefined && metric.depth !== undefined) {
    next.mailbox = tidy({ depth: metric.depth, bound, oldestMs: metric.oldestMs ?? null });
  }
  nodes.set(metric.id, next);
}

/** A field that is `null` is a field that is not there; only `parent` may be null. */
function tidy(node) {
  const next = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === "parent" || (value !== null && value !== undefined)) next[key] = value;
  }
  return next;
}
