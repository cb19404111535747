// The gateway's WebSocket protocol: handshake, requests with answers, events, and coming back after a cut.

import { signedText } from "./identity.js";

const PROTOCOL = 4;
const CHALLENGE_WAIT = 15_000;
const REQUEST_WAIT = 30_000;
const BACKOFF_FIRST = 500;
const BACKOFF_MAX = 30_000;
const DEFAULT_TICK = 30_000;

export const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals"];

/** A request that was refused, or that could not be answered. */
export class GatewayError extends Error {
  constructor(code, message, details, extra = {}) {
    super(message);
    this.name = "GatewayError";
    this.code = code;
    this.details = details ?? {};
    this.retryable = extra.retryable === true;
    this.retryAfterMs = extra.retryAfterMs ?? null;
  }

  /** Whether the connection went away before the answer came: the request may or may not have been carried out. */
  get lost() {
    return this.code === "CONNECTION_LOST" || this.code === "OFFLINE";
  }
}

/** Delay before the nth attempt in a row: doubling, capped, the upper half of it random so that clients spread. */
export function reconnectDelay(attempt, random = Math.random()) {
  const full = Math.min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** Math.min(attempt, 10));
  return Math.round(full / 2 + (full / 2) * random);
}

/**
 * One gateway, over as many sockets as it takes.
 *
 * `onStatus({phase, …})`: `connecting`, `online`, `waiting` (retryAt, reason), `refused` (error: asks for the user),
 * `stopped`. `onHello(payload)` after each handshake, `onEvent(name, payload)`, `onGap()` when events went missing.
 */
export class GatewayClient {
  #options;
  #socket = null;
  #reached = false;
  #pending = new Map();
  #nextId = 1;
  #attempt = 0;
  #retryTimer = null;
  #quietTimer = null;
  #challengeTimer = null;
  #lastSeq = 0;
  #lastFrameAt = 0;
  #instanceId = globalThis.crypto?.randomUUID?.() ?? String(Math.random());
  status = { phase: "stopped" };

  constructor(options) {
    this.#options = options;
  }

  /** Connects, or connects again at once. */
  start() {
    clearTimeout(this.#retryTimer);
    this.#dropSocket(1000, "");
    this.#attempt = 0;
    this.#open();
  }

  /** Closes for good. */
  stop() {
    clearTimeout(this.#retryTimer);
    this.#dropSocket(1000, "");
    this.#setStatus({ phase: "stopped" });
  }

  /** Tries now instead of when the timer fires; nothing happens unless it is waiting. */
  retryNow() {
    if (this.status.phase !== "waiting") return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  get online() {
    return this.status.phase === "online";
  }

  /** One request; resolves with its payload, rejects with a `GatewayError`. */
  request(method, params = {}, { timeoutMs = REQUEST_WAIT } = {}) {
    if (!this.online) return Promise.reject(new GatewayError("OFFLINE", "not connected to the gateway"));
    return this.#send(method, params, timeoutMs);
  }

  #send(method, params, timeoutMs) {
    const id = `d${this.#nextId++}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new GatewayError("TIMEOUT", `no answer to ${method} within ${Math.round(timeoutMs / 1000)} s`));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  #open() {
    this.#setStatus({ phase: "connecting", attempt: this.#attempt });
    let socket;
    try {
      socket = new WebSocket(this.#options.url);
    } catch (error) {
      this.#setStatus({ phase: "refused", error: new GatewayError("ADDRESS", String(error?.message ?? error)) });
      return;
    }
    this.#socket = socket;
    this.#reached = false;
    this.#lastSeq = 0;
    this.#challengeTimer = setTimeout(() => this.#lost("the gateway did not greet us"), CHALLENGE_WAIT);
    socket.onopen = () => {
      if (socket === this.#socket) this.#reached = true;
    };
    socket.onmessage = (message) => socket === this.#socket && this.#receive(message.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event);
  }

  #receive(text) {
    this.#lastFrameAt = Date.now();
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.type === "res") this.#answer(frame);
    else if (frame.type === "event" && frame.event === "connect.challenge") void this.#handshake(frame.payload);
    else if (frame.type === "event") this.#event(frame);
  }

  #answer(frame) {
    const waiting = this.#pending.get(frame.id);
    if (!waiting) return;
    this.#pending.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.ok) waiting.resolve(frame.payload);
    else {
      const { code = "UNAVAILABLE", message = "the gateway refused", details, ...extra } = frame.error ?? {};
      waiting.reject(new GatewayError(code, message, details, extra));
    }
  }

  #event(frame) {
    if (typeof frame.seq === "number") {
      const hole = this.#lastSeq > 0 && frame.seq > this.#lastSeq + 1;
      this.#lastSeq = frame.seq;
      if (hole) this.#options.onGap?.();
    }
    this.#options.onEvent?.(frame.event, frame.payload ?? {});
  }

  async #handshake(challenge) {
    clearTimeout(this.#challengeTimer);
    const socket = this.#socket;
    try {
      const params = await this.#connectParams(challenge);
      if (socket !== this.#socket) return;
      const hello = await this.#send("connect", params, CHALLENGE_WAIT);
      if (socket !== this.#socket) return;
      this.#attempt = 0;
      this.#watchSilence(hello.policy?.tickIntervalMs ?? DEFAULT_TICK);
      this.#setStatus({ phase: "online", since: Date.now() });
      this.#options.onHello?.(hello);
    } catch (error) {
      if (socket !== this.#socket || error?.lost) return;
      if (error?.retryable || error?.code === "TIMEOUT") this.#lost(error.message, error.retryAfterMs);
      else {
        this.#dropSocket(1000, "");
        this.#setStatus({ phase: "refused", error, auth: this.#options.auth() });
      }
    }
  }

  async #connectParams({ nonce, ts }) {
    const identity = await this.#options.identity();
    const auth = this.#options.auth() ?? undefined;
    const client = {
      id: "openclaw-control-ui",
      version: this.#options.version,
      platform: navigator.platform || "web",
      mode: "webchat",
      instanceId: this.#instanceId,
    };
    const role = "operator";
    const token = auth?.token ?? auth?.deviceToken;
    const text = signedText({ deviceId: identity.id, client, role, scopes: SCOPES, signedAt: ts, token, nonce });
    const signature = await identity.sign(text);
    return {
      minProtocol: PROTOCOL,
      maxProtocol: PROTOCOL,
      client,
      role,
      scopes: SCOPES,
      caps: ["tool-events"],
      auth,
      locale: navigator.language || "en",
      userAgent: navigator.userAgent,
      device: { id: identity.id, publicKey: identity.publicKey, signature, signedAt: ts, nonce },
    };
  }

  /** A gateway ticks; two ticks of silence mean that the line is dead, whatever the socket says. */
  #watchSilence(tickMs) {
    clearInterval(this.#quietTimer);
    this.#quietTimer = setInterval(() => {
      if (Date.now() - this.#lastFrameAt > 2 * tickMs) this.#lost("the gateway fell silent");
    }, Math.min(tickMs, 5_000));
  }

  #closed(event) {
    const restarting = event.code === 1012 || event.code === 1013;
    if (restarting) this.#lost("the gateway is stopping or restarting");
    else if (!this.#reached) this.#lost("the gateway cannot be reached");
    else this.#lost(event.reason || "the connection was cut");
  }

  #lost(reason, atLeastMs = 0) {
    this.#dropSocket(4000, reason);
    const delay = Math.max(reconnectDelay(this.#attempt), atLeastMs ?? 0);
    this.#attempt += 1;
    this.#setStatus({ phase: "waiting", reason, attempt: this.#attempt, retryAt: Date.now() + delay });
    this.#retryTimer = setTimeout(() => this.#open(), delay);
  }

  #dropSocket(code, reason) {
    clearTimeout(this.#challengeTimer);
    clearInterval(this.#quietTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(code, reason.slice(0, 100));
    for (const waiting of this.#pending.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new GatewayError("CONNECTION_LOST", "the connection was cut before the answer came"));
    }
    this.#pending.clear();
  }

  #setStatus(status) {
    this.status = status;
    this.#options.onStatus?.(status);
  }
}

/** What a refused handshake means to the person in front of the page. `asks`: `secret`, `approval`, `wait` or `nothing`. */
export function explainRefusal(error, auth) {
  const code = error.details?.code ?? error.code;
  if (error.name === "InsecureContextError") {
    return {
      asks: "nothing",
      title: "This address is not secure",
      text: "The browser only gives this page a key of its own over https or on localhost. Open the dashboard there.",
    };
  }
  if (code === "PAIRING_REQUIRED") {
    const id = error.details.requestId;
    return {
      asks: "approval",
      title: "This browser must be approved",
      text: "An operator has to approve this device before it may sign in.",
      command: id ? `occtl devices approve ${id}` : "occtl devices list",
    };
  }
  if (code === "AUTH_RATE_LIMITED") {
    return { asks: "wait", title: "Too many attempts", text: "The gateway refuses sign-ins from here for a while." };
  }
  if (code === "CONTROL_UI_ORIGIN_NOT_ALLOWED") {
    return {
      asks: "nothing",
      title: "This address is not allowed",
      text: `Add ${location.origin} to gateway.controlUi.allowedOrigins to use the dashboard from here.`,
    };
  }
  if (code?.startsWith("AUTH_")) {
    const word = code.startsWith("AUTH_PASSWORD") ? "password" : "token";
    const missing = !auth || code.endsWith("_MISSING") || code === "AUTH_REQUIRED";
    if (missing) return { asks: "secret", word, title: "Sign in", text: null };
    if (auth.deviceToken) return { asks: "secret", word, title: "Sign in", text: "This browser's sign-in has ended." };
    return { asks: "secret", word, title: "Sign in", text: `That ${word} is not the gateway's. Check it and try again.` };
  }
  if (!auth && (code === "DEVICE_IDENTITY_REQUIRED" || code === "NOT_PAIRED")) {
    return { asks: "secret", word: "token", title: "Sign in", text: null };
  }
  return { asks: "nothing", title: "The gateway refused the connection", text: error.message };
}
