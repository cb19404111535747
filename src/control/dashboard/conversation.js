// The conversation on the page: the state of the open session, how it is read and followed, and what a person says.

import { concerns, emptyChat, knowsRun, liveTurns, reduceChat } from "./chat-reducer.js";
import { ChatView } from "./chat-view.js";
import { Composer } from "./composer.js";
import { setText } from "./dom.js";
import { SessionPicker } from "./session-picker.js";
import { toast } from "./shell.js";

const HISTORY_LIMIT = 200;

const $ = (id) => document.getElementById(id);

export class Conversation {
  #gateway;
  #chat = emptyChat(null);
  #fallbackModel = null;
  #inFlight = new Set();
  #reloadTimer = null;
  #sessionsTimer = null;
  #view;
  #picker;
  #composer;

  /** `gateway`: `request(method, params)`, `online`, `has(method)`. */
  constructor(gateway) {
    this.#gateway = gateway;
    this.#view = new ChatView(
      {
        scroller: $("scroller"),
        list: $("messages"),
        empty: $("chat-empty"),
        loading: $("chat-loading"),
        latest: $("latest"),
        status: $("run-status"),
        statusText: $("run-status-text"),
        stop: $("stop"),
      },
      { retry: (runId) => this.#send(this.#question(runId).text, runId) },
    );
    this.#picker = new SessionPicker($("session"), (key) => this.#open(key));
    this.#composer = new Composer($("composer"), $("message"), $("send"), (text) => void this.#send(text));
    $("stop").addEventListener("click", () => void this.#stop());
    $("new-chat").addEventListener("click", () => {
      this.#open(this.#picker.fresh());
      this.#composer.focus();
    });
  }

  /** A connection was made; `snapshot` is what the gateway said of itself. */
  welcomed(snapshot) {
    this.#picker.setDefaults(snapshot?.sessionDefaults);
    if (this.#chat.sessionKey === null) this.#open(this.#picker.current);
    else void this.reload();
    void this.#refreshSessions();
    if (this.#gateway.has("sessions.subscribe")) this.#gateway.request("sessions.subscribe").catch(() => undefined);
  }

  /** Takes one event of a run. One that others began, or of a history we have not read, makes the record worth reading again. */
  receive(name, payload) {
    if (this.#chat.sessionKey === null || !concerns(this.#chat, payload)) return;
    if (payload.runId && !knowsRun(this.#chat, payload.runId) && this.#chat.loaded) this.#reloadSoon();
    this.#step({ type: name, payload, at: Date.now() });
  }

  /** Reads the record again after events may have gone missing. */
  reload() {
    return this.#load(true);
  }

  /** The list of sessions, or the model, may have changed. */
  refreshSoon() {
    clearTimeout(this.#sessionsTimer);
    this.#sessionsTimer = setTimeout(() => this.#refreshSessions(), 500);
  }

  /** Whether messages can be sent now. */
  online(online) {
    this.#composer.online(online);
  }

  focus() {
    this.#composer.focus();
  }

  #step(action) {
    this.#chat = reduceChat(this.#chat, action);
    this.#view.update(this.#chat);
    this.#showModel();
  }

  #question(runId) {
    return this.#chat.items.find((item) => item.type === "user" && item.runId === runId);
  }

  #open(key) {
    this.#chat = emptyChat(key);
    this.#view.update(this.#chat);
    this.#picker.choose(key);
    void this.#load(false);
  }

  async #load(afterCut) {
    const key = this.#chat.sessionKey;
    if (!this.#gateway.online || key === null) return;
    try {
      const history = await this.#gateway.request("chat.history", { sessionKey: key, limit: HISTORY_LIMIT });
      if (key !== this.#chat.sessionKey) return;
      this.#step({ type: "history", history, afterCut });
      if (afterCut) this.#resend();
    } catch (error) {
      if (error.lost || key !== this.#chat.sessionKey) return;
      this.#step({ type: "history", history: { messages: [] } });
      toast(`The conversation could not be read: ${error.message}`, "error");
    }
  }

  #reloadSoon() {
    clearTimeout(this.#reloadTimer);
    this.#reloadTimer = setTimeout(() => this.#load(false), 300);
  }

  async #send(text, runId = crypto.randomUUID()) {
    this.#inFlight.add(runId);
    this.#step({ type: "send", runId, text, at: Date.now() });
    this.#view.toEnd();
    const { sessionKey } = this.#chat;
    const here = () => sessionKey === this.#chat.sessionKey;
    try {
      const answer = await this.#gateway.request("chat.send", { sessionKey, message: text, idempotencyKey: runId });
      if (!here()) return;
      this.#step({ type: "accepted", runId, status: answer?.status, at: Date.now() });
      if (answer?.status === "ok") void this.#load(false);
    } catch (error) {
      if (!here() || error.lost) return;
      this.#step({ type: "refused", runId, error: error.message });
    } finally {
      this.#inFlight.delete(runId);
    }
  }

  /** Messages cut off before their answer go again under the same key: the gateway runs each key once. */
  #resend() {
    if (!this.#gateway.online || !this.#chat.loaded) return;
    for (const item of this.#chat.items) {
      const cutOff = item.type === "user" && item.delivery === "sending" && !this.#inFlight.has(item.runId);
      if (cutOff) void this.#send(item.text, item.runId);
    }
  }

  async #stop() {
    if (liveTurns(this.#chat).length === 0) return;
    const { sessionKey } = this.#chat;
    const answer = await this.#gateway.request("chat.abort", { sessionKey }).catch((error) => ({ error }));
    if (answer.error && !answer.error.lost) toast(`Not stopped: ${answer.error.message}`, "error");
    else if (answer.aborted === false) void this.reload();
  }

  async #refreshSessions() {
    const [sessions, agents] = await Promise.all([
      this.#gateway.request("sessions.list", { limit: 100, includeDerivedTitles: true }).catch(() => null),
      this.#gateway.request("agents.list").catch(() => null),
    ]);
    this.#picker.setSessions(sessions?.sessions ?? [], agents);
    const { model, modelProvider } = sessions?.defaults ?? {};
    if (this.#chat.model) return;
    if (model) this.#showModel({ provider: modelProvider, id: model });
    else await this.#showConfiguredModel(agents);
  }

  async #showConfiguredModel(agents) {
    const agent = agents?.agents?.find((entry) => entry.id === agents.defaultId) ?? agents?.agents?.[0];
    const primary = agent?.model?.primary;
    if (primary?.includes("/")) {
      const cut = primary.indexOf("/");
      this.#showModel({ provider: primary.slice(0, cut), id: primary.slice(cut + 1) });
      return;
    }
    const listed = await this.#gateway.request("models.list").catch(() => null);
    const first = listed?.models?.[0];
    if (first) this.#showModel({ provider: first.provider, id: first.id });
  }

  #showModel(fallback) {
    if (fallback) this.#fallbackModel = fallback;
    const model = this.#chat.model ?? this.#fallbackModel;
    $("model").hidden = !model;
    if (!model) return;
    setText($("model-text"), model.provider ? `${model.provider}/${model.id}` : model.id);
    $("demo-hint").hidden = model.provider !== "demo";
  }
}
