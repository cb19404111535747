// Numbers and names as people read them. Pure; knows nothing of the page.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const pad = (value) => String(value).padStart(2, "0");

/** A length of time in at most two units: `8 s`, `4 m 05 s`, `3 h 12 m`, `2 d 4 h`. */
export function duration(ms) {
  const left = Math.max(0, ms);
  if (left < MINUTE) return `${Math.floor(left / SECOND)} s`;
  if (left < HOUR) return `${Math.floor(left / MINUTE)} m ${pad(Math.floor((left % MINUTE) / SECOND))} s`;
  if (left < DAY) return `${Math.floor(left / HOUR)} h ${pad(Math.floor((left % HOUR) / MINUTE))} m`;
  return `${Math.floor(left / DAY)} d ${Math.floor((left % DAY) / HOUR)} h`;
}

/** How long something has lived, in one unit: `12 s`, `7 m`, `3 h`, `2 d`. */
export function age(ms) {
  const left = Math.max(0, ms);
  if (left < MINUTE) return `${Math.floor(left / SECOND)} s`;
  if (left < HOUR) return `${Math.floor(left / MINUTE)} m`;
  if (left < DAY) return `${Math.floor(left / HOUR)} h`;
  return `${Math.floor(left / DAY)} d`;
}

/** Time left until something happens; tenths below ten seconds, so that the number is seen to move. */
export function countdown(ms) {
  if (ms <= 0) return "now";
  if (ms < 10 * SECOND) return `${(Math.ceil(ms / 100) / 10).toFixed(1)} s`;
  return duration(Math.ceil(ms / SECOND) * SECOND);
}

/** The time of day, with the date when it was not today. */
export function clockTime(ms, now = Date.now(), { seconds = false } = {}) {
  const then = new Date(ms);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) });
  return new Date(now).toDateString() === then.toDateString()
    ? time
    : `${then.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

/** `1 actor`, `2 actors`. */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const UUID = /\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

/** Random ids in a text cut to what tells them apart. */
export function shortIds(text) {
  return text.replace(UUID, "$1…");
}

/** `lastError` and `needs_restart` as a person would write them. */
export function heading(key) {
  const words = key.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1).toLowerCase();
}

/** The middle of a long text replaced by an ellipsis. */
export function middle(text, max) {
  if (text.length <= max) return text;
  const head = Math.ceil((max - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (max - 1 - head))}`;
}

/** A session key as a person would say it: `agent:main:telegram:42` is `telegram:42`, with the agent only if it is not `main`. */
export function sessionName(key) {
  const parts = key.split(":");
  if (parts[0] !== "agent" || parts.length < 3) return key;
  const rest = parts.slice(2).join(":");
  const name = rest === "main" ? "Main session" : rest.replace(/^dashboard-/, "Chat ");
  return parts[1] === "main" ? name : `${parts[1]} · ${name}`;
}

/** Compact JSON of a tool's arguments; text stays text. */
export function compactJson(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  return JSON.stringify(value, null, 2);
}
