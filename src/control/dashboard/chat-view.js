// The conversation on the page. What a model or a person wrote goes in as text, never as markup.

import { arrange, element, icon, perFrame, setAttribute, setText } from "./dom.js";
import { liveTurns, turnBlocks } from "./chat-reducer.js";
import { clockTime, compactJson, duration, plural } from "./format.js";
import { inlineSpans, textBlocks } from "./text-blocks.js";

/** Distance from the end at which the page still counts as "at the end" and follows new text. */
const NEAR_END = 80;

const PHASES = {
  accepted: "Waiting for the session",
  preparing_workspace: "Preparing the workspace",
  naming_worktree: "Preparing the workspace",
  creating_worktree: "Preparing the workspace",
  running_setup: "Running the set-up",
  provisioning_environment: "Preparing the environment",
  preparing_context: "Reading the conversation",
  memory_flushing: "Saving memory",
  starting_model: "Waiting for the model",
  thinking: "Thinking",
  tool: "Using a tool",
  answering: "Answering",
};

/** `actions`: `retry(runId)`. */
export class ChatView {
  #dom;
  #actions;
  #chat = null;
  #held = new Map();
  #follow = true;
  #render = perFrame(() => this.#draw());

  constructor(dom, actions) {
    this.#dom = dom;
    this.#actions = actions;
    dom.scroller.addEventListener("scroll", () => {
      this.#follow = this.#distance() < NEAR_END;
      dom.latest.hidden = this.#follow;
    });
    dom.latest.addEventListener("click", () => this.toEnd());
    setInterval(() => document.hidden || this.#tick(), 1000);
  }

  /** Takes a new state of the conversation; the page follows with the next frame. */
  update(chat) {
    if (this.#chat?.sessionKey !== chat.sessionKey) {
      this.#held.clear();
      this.#follow = true;
    }
    this.#chat = chat;
    this.#render();
  }

  /** Goes to the newest message and stays there. */
  toEnd() {
    this.#follow = true;
    this.#dom.latest.hidden = true;
    this.#dom.scroller.scrollTop = this.#dom.scroller.scrollHeight;
  }

  #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.#dom.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #draw() {
    const chat = this.#chat;
    const live = new Set();
    const elements = [];
    for (const item of chat.items) {
      live.add(item.key);
      let held = this.#held.get(item.key);
      if (!held) {
        held = item.type === "turn" ? new Turn() : item.type === "user" ? new Question(this.#actions) : new Notice();
        this.#held.set(item.key, held);
      }
      held.show(item);
      elements.push(held.root);
    }
    for (const key of this.#held.keys()) if (!live.has(key)) this.#held.delete(key);
    arrange(this.#dom.list, elements);
    setAttribute(this.#dom.list, "aria-busy", liveTurns(chat).length > 0);
    this.#dom.empty.hidden = chat.items.length > 0 || !chat.loaded;
    this.#dom.loading.hidden = chat.loaded;
    if (this.#follow) this.toEnd();
    this.#tick();
  }

  #tick() {
    const running = this.#chat ? liveTurns(this.#chat) : [];
    this.#dom.status.hidden = running.length === 0;
    this.#dom.stop.hidden = running.length === 0;
    if (running.length > 0) setText(this.#dom.statusText, statusText(running, Date.now()));
  }
}

/** What the oldest run is doing, for how long, and how many wait behind it. */
export function statusText(running, now) {
  const [turn] = running;
  const tool = turn.tools.findLast((call) => call.status === "running");
  const phase = tool ? `Using ${tool.name}` : (PHASES[turn.phase] ?? "Working");
  const parts = [phase];
  if (turn.retry) parts.push(`attempt ${turn.retry.attempt} of ${turn.retry.maxAttempts}, ${turn.retry.reason.replaceAll("_", " ")}`);
  if (turn.startedAt) parts.push(duration(now - turn.startedAt));
  if (running.length > 1) parts.push(`${plural(running.length - 1, "message")} waiting`);
  return parts.join(" · ");
}

class Notice {
  #text = element("span", {});
  root = element("div", { class: "notice" }, this.#text);

  show(item) {
    setText(this.#text, item.text);
  }
}

class Question {
  #text = element("div", { class: "bubble" });
  #time = element("time", {});
  #state = element("span", { class: "delivery" });
  #retry = element("button", { type: "button", class: "link" }, "Send again");
  root = element("article", { class: "question", "aria-label": "You" }, this.#text, element("footer", {}, this.#state, this.#retry, this.#time));
  #item = null;

  constructor(actions) {
    this.#retry.addEventListener("click", () => actions.retry(this.#item.runId));
  }

  show(item) {
    if (this.#item === item) return;
    this.#item = item;
    setText(this.#text, item.text);
    setText(this.#time, item.at ? clockTime(item.at) : "");
    setText(this.#state, item.delivery === "sending" ? "Sending…" : item.delivery === "failed" ? `Not sent: ${item.error}` : "");
    setAttribute(this.root, "data-delivery", item.delivery);
    this.#retry.hidden = item.delivery !== "failed";
  }
}

class Turn {
  #blocks = element("div", { class: "blocks" });
  #wait = element("div", { class: "typing", "aria-label": "Working" }, element("i"), element("i"), element("i"));
  #end = element("p", { class: "end" });
  #meta = element("span", { class: "meta" });
  root = element("article", { class: "turn", "aria-label": "Assistant" }, this.#blocks, this.#wait, this.#end, element("footer", {}, this.#meta));
  #item = null;
  #tools = new Map();
  #texts = [];
  #thinking = null;

  show(item) {
    if (this.#item === item) return;
    this.#item = item;
    const blocks = turnBlocks(item);
    const streaming = item.state === "streaming";
    let texts = 0;
    const wanted = blocks.flatMap((block) => {
      if (block.type === "tool") return [this.#tool(block.tool)];
      if (block.type === "thinking") return [this.#think(block.text)];
      this.#texts[texts] ??= new Text();
      const text = this.#texts[texts++];
      text.show(block.text);
      return [text.root];
    });
    arrange(this.#blocks, wanted);
    this.root.classList.toggle("streaming", streaming);
    this.#wait.hidden = !streaming || (item.phase === "answering" && item.text !== "");
    const silent = !streaming && wanted.length === 0 && item.state === "final";
    this.root.hidden = silent;
    setText(this.#end, endText(item));
    this.#end.hidden = this.#end.textContent === "";
    setAttribute(this.#end, "data-tone", item.state === "error" ? "error" : "idle");
    setText(this.#meta, streaming ? "" : metaText(item));
  }

  #tool(tool) {
    let held = this.#tools.get(tool.id);
    if (!held) this.#tools.set(tool.id, (held = new Tool()));
    held.show(tool);
    return held.root;
  }

  #think(text) {
    if (!this.#thinking) {
      const body = element("div", { class: "thinking-text" });
      this.#thinking = { body, root: element("details", { class: "thinking" }, element("summary", {}, icon("chevron"), "Thinking"), body) };
    }
    setText(this.#thinking.body, text);
    return this.#thinking.root;
  }
}

function endText(item) {
  if (item.state === "error") return item.error;
  if (item.state === "aborted") return item.error ? `Stopped. ${item.error}` : "Stopped.";
  return "";
}

function metaText(item) {
  const parts = [];
  if (item.startedAt) parts.push(clockTime(item.startedAt));
  if (item.model) parts.push(item.model.id);
  if (item.outputTokens) parts.push(plural(item.outputTokens, "token"));
  return parts.join(" · ");
}

class Tool {
  #dot = element("span", { class: "dot", "aria-hidden": "true" });
  #name = element("span", { class: "tool-name" });
  #brief = element("code", { class: "tool-brief" });
  #state = element("span", { class: "tool-state" });
  #args = element("pre", {});
  #output = element("pre", {});
  #outputTitle = element("h4", {}, "Output");
  root = element(
    "details",
    { class: "tool" },
    element("summary", {}, icon("chevron"), this.#dot, this.#name, this.#brief, this.#state),
    element("h4", {}, "Arguments"),
    this.#args,
    this.#outputTitle,
    this.#output,
  );
  #shown = null;

  show(tool) {
    if (this.#shown === tool) return;
    this.#shown = tool;
    setText(this.#name, tool.name);
    setText(this.#brief, briefArgs(tool.args));
    setText(this.#state, { running: "running", done: "", failed: "failed", ended: "" }[tool.status] ?? tool.status);
    setAttribute(this.#dot, "data-tone", { running: "busy", done: "ok", failed: "error" }[tool.status] ?? "idle");
    setText(this.#args, compactJson(tool.args) || "none");
    setText(this.#output, tool.output);
    this.#output.hidden = this.#outputTitle.hidden = !tool.output;
  }
}

function briefArgs(args) {
  if (args === null || args === undefined) return "";
  if (typeof args !== "object") return String(args);
  const first = Object.values(args).find((value) => typeof value === "string" || typeof value === "number");
  return first === undefined ? "" : String(first).split("\n")[0].slice(0, 120);
}

/** Paragraphs and code of one piece of text; only what changed is written, so that streaming stays cheap. */
class Text {
  root = element("div", { class: "text" });
  #parts = [];

  show(source) {
    const blocks = textBlocks(source);
    blocks.forEach((block, at) => {
      const held = this.#parts[at];
      if (held?.type === block.type) {
        if (held.text !== block.text) this.#write(held, block);
      } else {
        const part = { type: block.type, text: null, root: block.type === "code" ? codeBox() : element("p", {}) };
        this.#parts[at] = part;
        this.#write(part, block);
      }
    });
    this.#parts.length = blocks.length;
    arrange(this.root, this.#parts.map((part) => part.root));
  }

  #write(part, block) {
    part.text = block.text;
    if (part.type === "code") {
      setText(part.root.querySelector("code"), block.text);
      setText(part.root.querySelector(".language"), block.language);
    } else {
      part.root.replaceChildren(
        ...inlineSpans(block.text).map((span) => {
          if (span.type === "code") return element("code", {}, span.text);
          return span.type === "bold" ? element("strong", {}, span.text) : document.createTextNode(span.text);
        }),
      );
    }
  }
}

function codeBox() {
  const code = element("code", {});
  const button = element("button", { type: "button", class: "quiet small", "aria-label": "Copy code" }, icon("copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(code.textContent).catch(() => undefined);
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return element("figure", { class: "code" }, element("figcaption", {}, element("span", { class: "language" }), button), element("pre", { tabindex: "0" }, code));
}
