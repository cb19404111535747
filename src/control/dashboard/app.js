// The dashboard: one connection, the two things it shows, and the wires between them.

import { ActorTree } from "./actor-tree.js";
import { Conversation } from "./conversation.js";
import * as credentials from "./credentials.js";
import { setAttribute, setText } from "./dom.js";
import { countdown, duration } from "./format.js";
import { Gate } from "./gate.js";
import { loadIdentity } from "./identity.js";
import { GatewayClient, explainRefusal } from "./protocol.js";
import { toast, wirePanes } from "./shell.js";

const VERSION = "0.1.0";
const HEALTH_EVERY = 30_000;

/** How a real model is added. */
const EXAMPLE = `occtl models add --provider openai \\
  --base-url https://api.openai.com/v1 \\
  --api openai-completions --model MODEL \\
  --key-env OPENAI_API_KEY --default`;

const $ = (id) => document.getElementById(id);

let hello = null;
let bootedAt = null;
let healthTimer = null;

// --- the connection ---

credentials.takeTokenFromAddress();
let identity = null;
const client = new GatewayClient({
  url: gatewayAddress(),
  version: VERSION,
  identity: () => (identity ??= loadIdentity()),
  auth: credentials.currentAuth,
  onStatus: showStatus,
  onHello: welcomed,
  onEvent: received,
  onGap() {
    actors.lost();
    void conversation.reload();
  },
});

/** The page lies in a folder of the gateway; the socket is opened beside it. */
function gatewayAddress() {
  const address = new URL("../", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = "";
  address.hash = "";
  return address.href;
}

/** What the two halves of the page need of the connection. */
const gateway = {
  request: (method, params) => client.request(method, params),
  get online() {
    return client.online;
  },
  has: (method) => hello?.features?.methods?.includes(method) ?? false,
  mayAct: () => hello?.auth?.scopes?.includes("operator.admin") ?? false,
  /** The name of the actor that serves this page. */
  self: () => `conn:${hello?.server?.connId}`,
};
const actors = new ActorTree(gateway);
const conversation = new Conversation(gateway);

function welcomed(payload) {
  hello = payload;
  if (payload.auth?.deviceToken) credentials.keepDeviceToken(payload.auth.deviceToken);
  gate.hide();
  if ($("app").hidden) showApp();
  bootedAt = Date.now() - (payload.snapshot?.uptimeMs ?? 0);
  if (payload.snapshot?.configPath) setText($("config-path"), payload.snapshot.configPath);
  conversation.welcomed(payload.snapshot);
  void actors.follow();
  clearInterval(healthTimer);
  healthTimer = setInterval(measure, HEALTH_EVERY);
  void measure();
}

function showApp() {
  $("app").hidden = false;
  if (matchMedia("(min-width: 761px)").matches) conversation.focus();
}

async function measure() {
  if (!client.online || document.hidden) return;
  const asked = performance.now();
  const health = await client.request("health").catch(() => null);
  if (!health) return;
  const ms = Math.max(1, Math.round(performance.now() - asked));
  $("link").title = `Gateway ${hello.server?.version ?? ""} answers in ${ms} ms`;
  if (client.online) setText($("link-text"), health.ok === false ? "Degraded" : "Connected");
  setAttribute($("link-dot"), "data-tone", health.ok === false ? "warn" : "ok");
}

function received(name, payload) {
  if (name === "tree.delta") actors.receive(payload);
  else if (name === "chat" || name === "agent") conversation.receive(name, payload);
  else if (name === "sessions.changed") conversation.refreshSoon();
  else if (name === "shutdown") toast("The gateway is shutting down.", "warn");
}

function showStatus(status) {
  const look = {
    connecting: ["busy", "Connecting"],
    online: ["ok", "Connected"],
    waiting: ["warn", "Disconnected"],
    refused: ["error", "Signed out"],
    stopped: ["idle", "Offline"],
  }[status.phase];
  setAttribute($("link-dot"), "data-tone", look[0]);
  setText($("link-text"), look[1]);
  $("app").dataset.link = status.phase;
  const away = status.phase === "waiting" || (status.phase === "connecting" && hello !== null);
  if (status.phase === "waiting") {
    actors.lost();
    if (hello === null && $("gate").hidden) showApp();
  }
  $("banner").hidden = !away;
  showWait();
  showUptime();
  if (status.phase === "refused") gate.show(explainRefusal(status.error, status.auth), status.error, status.auth);
  conversation.online(client.online);
}

function showWait() {
  const { status } = client;
  const text =
    status.phase === "waiting"
      ? `${sentence(status.reason)} Trying again in ${countdown(status.retryAt - Date.now())}.`
      : "Connecting to the gateway…";
  setText($("banner-text"), text);
  $("banner-retry").hidden = status.phase !== "waiting";
}

function showUptime() {
  if (bootedAt) setText($("uptime"), client.online ? `up ${duration(Date.now() - bootedAt)}` : "");
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

const gate = new Gate({
  signIn(token, remember) {
    credentials.keepToken(token, remember);
    client.start();
  },
  again: () => client.start(),
  forget: credentials.forget,
});

// --- the shell ---

setText($("model-example"), EXAMPLE);
if (matchMedia("(hover: none)").matches) $("filter").placeholder = "Filter";
$("sign-out").addEventListener("click", () => {
  client.stop();
  credentials.signOut();
  location.reload();
});
$("banner-retry").addEventListener("click", () => client.retryNow());
window.addEventListener("online", () => client.retryNow());
// A browser may keep a page that was left, and its socket with it: nobody reads there.
window.addEventListener("pagehide", () => client.stop());
window.addEventListener("pageshow", (event) => event.persisted && client.start());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  client.retryNow();
  actors.redraw();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    $("app").dataset.pane = "tree";
    $("filter").focus();
  }
});
setInterval(() => {
  if (document.hidden) return;
  if (!$("banner").hidden) showWait();
  showUptime();
}, 250);

// A gateway that answers at once shows its page or the sign-in, not one and then the other.
setTimeout(() => $("gate").hidden && $("app").hidden && showApp(), 400);
wirePanes($("app"), $("divider"), { chat: $("tab-chat"), tree: $("tab-tree") });
client.start();
