// Who this browser is to the gateway: an Ed25519 key made once, whose private half cannot be read out of the browser.

const DATABASE = "openclawd";
const STORE = "identity";
const RECORD = "device";

/** The browser gives no keys to pages that are neither https nor on this machine. */
export class InsecureContextError extends Error {
  constructor() {
    super("this page is not in a secure context");
    this.name = "InsecureContextError";
  }
}

/** The key of this browser, made on first use. Without a place to keep it, it lives as long as the page. */
export async function loadIdentity() {
  if (!globalThis.crypto?.subtle) throw new InsecureContextError();
  const stored = await readRecord().catch(() => null);
  const pair = stored ?? (await makeKey());
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  return {
    id: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    publicKey: base64url(raw),
    async sign(text) {
      const bytes = new TextEncoder().encode(text);
      return base64url(new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes)));
    },
  };
}

/** The text a device signs to prove that it holds its key. */
export function signedText({ deviceId, client, role, scopes, signedAt, token, nonce }) {
  const lower = (text) => (text ?? "").trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const fields = ["v3", deviceId, client.id, client.mode, role, scopes.join(","), signedAt, token ?? "", nonce];
  return [...fields, lower(client.platform), lower(client.deviceFamily)].join("|");
}

/** Base64 for URLs, without padding. */
export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

async function makeKey() {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
  await writeRecord({ privateKey: pair.privateKey, publicKey: pair.publicKey }).catch(() => undefined);
  return pair;
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function withStore(mode, use) {
  const database = await openDatabase();
  try {
    return await new Promise((resolve, reject) => {
      const request = use(database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result ?? null);
      request.onerror = () => reject(request.error);
    });
  } finally {
    database.close();
  }
}

const readRecord = () => withStore("readonly", (store) => store.get(RECORD));
const writeRecord = (record) => withStore("readwrite", (store) => store.put(record, RECORD));
