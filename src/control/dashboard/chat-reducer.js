// One session's conversation as the page knows it: a pure function over history, events and what the user does.
//
// Items are `{type:"user"|"turn"|"notice", …}` in the order they are shown. A turn is everything one run says and does:
// its cumulative text, its tool calls (each remembers where in the text it came), its thinking, and how it ended.

/** A conversation before its history is here. */
export function emptyChat(sessionKey) {
  return { sessionKey, loaded: false, items: [], model: null, hasMore: false };
}

/**
 * Applies one action; never changes the state it was given.
 *
 * Actions: `history` (answer of `chat.history`), `send` / `accepted` / `refused` (the user's own message), `chat` and
 * `agent` (events), `notice`.
 */
export function reduceChat(state, action) {
  switch (action.type) {
    case "history":
      return takeHistory(state, action.history, action.afterCut === true);
    case "send":
      return addUser(state, action);
    case "accepted":
      return accept(state, action.runId, action.status, action.at);
    case "refused":
      return updateUser(state, action.runId, (item) => ({ ...item, delivery: "failed", error: action.error }));
    case "chat":
      return takeChatEvent(state, action.payload, action.at);
    case "agent":
      return takeAgentEvent(state, action.payload, action.at);
    case "notice":
      return { ...state, items: [...state.items, { type: "notice", key: action.key, text: action.text }] };
    default:
      return state;
  }
}

/** The runs that have not ended, oldest first. */
export function liveTurns(state) {
  return state.items.filter((item) => item.type === "turn" && item.state === "streaming");
}

/** Whether an event belongs to this conversation. */
export function concerns(state, payload) {
  return payload.sessionKey === undefined || payload.sessionKey === state.sessionKey;
}

/** Whether we know the run, so that its question is on the page. */
export function knowsRun(state, runId) {
  return state.items.some((item) => item.runId === runId);
}

/** What a turn shows, in order: thinking, then text and tool calls as they came. */
export function turnBlocks(turn) {
  const blocks = [];
  if (turn.thinking) blocks.push({ type: "thinking", text: turn.thinking });
  let at = 0;
  const pushText = (end) => {
    const text = turn.text.slice(at, end);
    if (text.trim()) blocks.push({ type: "text", text });
    at = Math.max(at, end);
  };
  for (const tool of turn.tools) {
    if (tool.offset > at) pushText(Math.min(tool.offset, turn.text.length));
    blocks.push({ type: "tool", tool });
  }
  pushText(turn.text.length);
  return blocks;
}

/** The text parts of a message, joined. */
export function messageText(message) {
  const content = message?.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .filter((part) => part?.type === "text" && typeof part.text === "string")
    .map((part) => part.text)
    .join("");
}

function newTurn(runId, at, extra = {}) {
  return {
    type: "turn",
    key: `turn:${runId}`,
    runId,
    state: "streaming",
    phase: "accepted",
    retry: null,
    text: "",
    thinking: "",
    tools: [],
    startedAt: at ?? null,
    outputTokens: null,
    model: null,
    error: null,
    ...extra,
  };
}

function addUser(state, { runId, text, at }) {
  const item = { type: "user", key: `user:${runId}`, runId, text, at, delivery: "sending", error: null };
  const again = state.items.some((old) => old.key === item.key);
  return { ...state, items: again ? state.items.map((old) => (old.key === item.key ? item : old)) : [...state.items, item] };
}

function updateUser(state, runId, change) {
  return mapItems(state, (item) => (item.type === "user" && item.runId === runId ? change(item) : item));
}

/** The gateway holds the message now. A run that starts gets its place right below the question. */
function accept(state, runId, status, at) {
  const next = updateUser(state, runId, (item) => ({ ...item, delivery: "sent", error: null }));
  const started = status === "started" || status === "in_flight" || status === "accepted";
  return started && !findTurn(next, runId) ? putTurn(next, newTurn(runId, at)) : next;
}

function findTurn(state, runId) {
  return state.items.find((item) => item.type === "turn" && item.runId === runId);
}

function putTurn(state, turn) {
  const items = [...state.items];
  const at = items.findIndex((item) => item.type === "turn" && item.runId === turn.runId);
  if (at >= 0) items[at] = turn;
  else {
    const question = items.findIndex((item) => item.type === "user" && item.runId === turn.runId);
    if (question >= 0) items.splice(question + 1, 0, turn);
    else items.push(turn);
  }
  return { ...state, items };
}

function mapItems(state, change) {
  return { ...state, items: state.items.map(change) };
}

function takeChatEvent(state, event, at) {
  if (!concerns(state, event) || !event.runId) return state;
  const turn = findTurn(state, event.runId) ?? newTurn(event.runId, at);
  const next = updateUser(state, event.runId, (item) =>
    item.delivery === "sending" ? { ...item, delivery: "sent", error: null } : item,
  );
  switch (event.state) {
    case "status":
      return turn.state === "streaming" ? putTurn(next, { ...turn, phase: event.phase, retry: event.retry ?? null }) : next;
    case "delta":
      return putTurn(next, { ...turn, phase: "answering", retry: null, text: textAfter(turn, event), ...usageOf(event) });
    case "final":
      return putTurn(next, { ...ended(turn, event), state: "final" });
    case "aborted":
      return putTurn(next, { ...ended(turn, event), state: "aborted", error: event.errorMessage ?? null });
    case "error":
      return putTurn(next, {
        ...ended(turn, event),
        state: "error",
        error: event.errorMessage ?? "The run failed without saying why.",
        errorKind: event.errorKind ?? null,
      });
    default:
      return state;
  }
}

/** `replace` rewrites the run's text; otherwise the new part is appended, and the cumulative text heals a missed part. */
function textAfter(turn, event) {
  if (event.replace) return event.deltaText ?? "";
  const appended = turn.text + (event.deltaText ?? "");
  const cumulative = event.message ? messageText(event.message) : "";
  if (!cumulative || appended === cumulative || appended.endsWith(cumulative)) return appended;
  return cumulative;
}

function ended(turn, event) {
  const text = messageText(event.message);
  const keep = !text.trim() || turn.text.trim().endsWith(text.trim());
  return {
    ...turn,
    phase: null,
    retry: null,
    text: keep ? turn.text : text,
    tools: turn.tools.map((tool) => (tool.status === "running" ? { ...tool, status: "ended" } : tool)),
    ...usageOf(event),
  };
}

function usageOf(event) {
  const output = event.usage?.output ?? event.usage?.outputTokens;
  return typeof output === "number" ? { outputTokens: output } : {};
}

function takeAgentEvent(state, event, at) {
  if (!concerns(state, event) || !event.runId) return state;
  const known = findTurn(state, event.runId);
  const data = event.data ?? {};
  if (known && known.state !== "streaming") return state;
  const turn = known ?? newTurn(event.runId, at);
  switch (event.stream) {
    case "thinking":
      return putTurn(state, { ...turn, phase: "thinking", thinking: data.text ?? turn.thinking + (data.delta ?? "") });
    case "tool":
      return putTurn(state, { ...turn, phase: data.phase === "result" ? "answering" : "tool", tools: toolsAfter(turn, data) });
    case "usage":
      return known ? putTurn(state, { ...turn, outputTokens: data.outputTokens ?? turn.outputTokens }) : state;
    case "lifecycle":
      if (data.phase === "model" && data.model && known) {
        const model = { provider: data.provider, id: data.model };
        return { ...putTurn(state, { ...turn, model }), model };
      }
      return data.phase === "start" && !known ? putTurn(state, { ...turn, startedAt: data.startedAt ?? at }) : state;
    default:
      return state;
  }
}

function toolsAfter(turn, data) {
  const id = data.toolCallId;
  const known = turn.tools.find((tool) => tool.id === id) ?? {
    id,
    name: data.name ?? "tool",
    args: null,
    output: "",
    status: "running",
    offset: turn.text.length,
  };
  const next = { ...known };
  if (data.phase === "start") next.args = data.args ?? null;
  if (data.phase === "update") next.output = messageText(data.partialResult) || known.output;
  if (data.phase === "result") {
    next.output = messageText(data.result) || known.output;
    next.status = data.isError ? "failed" : "done";
  }
  return turn.tools.includes(known)
    ? turn.tools.map((tool) => (tool === known ? next : tool))
    : [...turn.tools, next];
}

// --- history ---

/**
 * The gateway's record replaces ours, except for what it cannot have: runs under way and messages not yet accepted.
 * `afterCut`: we may have missed the end of a run, so one the gateway no longer knows of is closed.
 */
function takeHistory(state, history, afterCut) {
  const messages = history.messages ?? [];
  const flight = history.inFlightRun?.runId ? history.inFlightRun : null;
  const runs = runsOf(messages);
  const answered = answeredRuns(messages, runs);
  const live = liveTurns(state).filter((turn) => turn.runId === flight?.runId || !answered.has(turn.runId));
  const running = new Set(live.map((turn) => turn.runId));
  // What we saw of a run under way is more than the record has of it.
  const past = itemsOf(messages.filter((message, at) => message.role === "user" || !running.has(runs[at])));
  if (flight) running.add(flight.runId);
  const recorded = new Set(past.filter((item) => item.type === "user").map((item) => item.runId));
  const ours = state.items.filter(
    (item) => item.type === "user" && !recorded.has(item.runId) && (item.delivery !== "sent" || running.has(item.runId)),
  );
  let next = {
    ...state,
    loaded: true,
    hasMore: history.hasMore === true,
    model: modelOf(history) ?? state.model,
    items: [...past, ...ours],
  };
  const status = history.sessionInfo?.status;
  const over = afterCut && !flight && status !== undefined && status !== "running";
  for (const turn of live) {
    next = putTurn(next, over ? { ...turn, state: "aborted", phase: null, error: "It ended while the connection was cut." } : turn);
  }
  if (!flight) return next;
  const turn = findTurn(next, flight.runId) ?? newTurn(flight.runId, null, { phase: "answering" });
  return putTurn(next, turn.state === "streaming" ? withText(turn, flight) : resumed(withText(turn, flight), flight));
}

function withText(turn, { text = "" }) {
  return { ...turn, text: text.length >= turn.text.length ? text : turn.text };
}

/** A turn of the record that has not ended: a tool without a result still works. */
function resumed(turn, { startedAt }) {
  const tools = turn.tools.map((tool) => (tool.status === "ended" ? { ...tool, status: "running" } : tool));
  return { ...turn, state: "streaming", phase: "answering", startedAt: startedAt ?? turn.startedAt, tools };
}

const askedBy = (message) => (message.idempotencyKey ?? "").replace(/:user$/, "") || null;

/** The run of each message: the one it names, else that of the question above it. */
function runsOf(messages) {
  let asked = null;
  return messages.map((message) => {
    if (message.role === "user") asked = askedBy(message);
    return message.__openclaw?.runId ?? asked;
  });
}

/** Runs whose last word is on record. */
function answeredRuns(messages, runs) {
  const step = (message) => message.stopReason === "toolUse" || message.openclawStreamFallback;
  return new Set(runs.filter((_run, at) => messages[at].role === "assistant" && !step(messages[at])));
}

function modelOf(history) {
  const info = history.sessionInfo ?? {};
  const defaults = history.defaults ?? {};
  const id = info.model ?? defaults.model;
  const provider = info.modelProvider ?? defaults.modelProvider;
  return id ? { provider, id } : null;
}

/** Rows of a transcript as items: what stands between two questions is one turn. */
export function itemsOf(messages) {
  const items = [];
  const keys = new Set();
  const keyOf = (runId, id) => {
    const key = runId && !keys.has(`turn:${runId}`) ? `turn:${runId}` : `turn:${id}`;
    keys.add(key);
    return key;
  };
  let turn = null;
  const runs = runsOf(messages);
  messages.forEach((message, at) => {
    const id = message.__openclaw?.id ?? `${message.timestamp ?? 0}-${at}`;
    const kind = message.__openclaw?.kind;
    if (kind === "compaction" || kind === "reset") {
      turn = null;
      const text = kind === "reset" ? "Session reset" : "Earlier messages were summarised";
      items.push({ type: "notice", key: `notice:${id}`, text });
    } else if (message.role === "user") {
      turn = null;
      const runId = askedBy(message) ?? id;
      const text = messageText(message);
      items.push({ type: "user", key: `user:${runId}`, runId, text, at: message.timestamp, delivery: "sent", error: null });
    } else if (message.role === "assistant") {
      if (!turn) {
        const runId = runs[at];
        const key = keyOf(runId, id);
        turn = newTurn(runId ?? id, message.timestamp, { key, state: "final", phase: null });
        items.push(turn);
      }
      addAssistant(turn, message);
    } else if (message.role === "toolResult" && turn) {
      const tool = turn.tools.find((call) => call.id === message.toolCallId);
      if (tool) {
        tool.output = messageText(message);
        tool.status = message.isError ? "failed" : "done";
      }
    }
  });
  return items;
}

/** Text behind a tool call stands apart already. */
function gapBefore(turn) {
  const apart = turn.text === "" || turn.tools.at(-1)?.offset === turn.text.length;
  return apart ? "" : "\n\n";
}

/** Only ever called on a turn made in the same pass. */
function addAssistant(turn, message) {
  const parts = Array.isArray(message.content) ? message.content : [{ type: "text", text: messageText(message) }];
  for (const part of parts) {
    if (part.type === "text" && part.text?.trim()) turn.text += gapBefore(turn) + part.text;
    if (part.type === "thinking") turn.thinking += part.thinking ?? "";
    if (part.type === "toolCall") {
      const { id, name } = part;
      turn.tools.push({ id, name, args: part.arguments ?? null, output: "", status: "ended", offset: turn.text.length });
    }
  }
  if (message.model) turn.model = { provider: message.provider, id: message.model };
  if (typeof message.usage?.output === "number") turn.outputTokens = (turn.outputTokens ?? 0) + message.usage.output;
  if (message.stopReason === "error") Object.assign(turn, { state: "error", error: message.errorMessage ?? "The run failed." });
  if (message.stopReason === "aborted") turn.state = "aborted";
}
