// What this browser may show the gateway: the shared token, and the token the gateway gave to this device.
//
// The shared token stays with the tab unless the user asks to be remembered; the device token, which an operator can
// revoke by itself, stays with the browser.

const SHARED = "openclawd.token";
const DEVICE = "openclawd.deviceToken";

function read(storage, key) {
  try {
    return storage().getItem(key) || null;
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value) storage().setItem(key, value);
    else storage().removeItem(key);
  } catch {
    // A browser that keeps nothing: the user signs in again next time.
  }
}

const session = () => globalThis.sessionStorage;
const local = () => globalThis.localStorage;

/** Takes `#token=` out of the address, so that it is neither shown, nor kept in the history, nor copied along. */
export function takeTokenFromAddress() {
  const params = new URLSearchParams(location.hash.replace(/^#/, ""));
  const token = params.get("token");
  if (token === null) return false;
  params.delete("token");
  const rest = params.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
  if (token) write(session, SHARED, token);
  return Boolean(token);
}

/** What to send: the shared token if there is one, else the device's own. */
export function currentAuth() {
  const token = read(session, SHARED) ?? read(local, SHARED);
  if (token) return { token };
  const deviceToken = read(local, DEVICE);
  return deviceToken ? { deviceToken } : null;
}

/** Remembers what the user typed. */
export function keepToken(token, remember) {
  write(session, SHARED, token);
  write(local, SHARED, remember ? token : null);
}

/** Remembers the token the gateway gave to this device. */
export function keepDeviceToken(token) {
  write(local, DEVICE, token);
}

/** Forgets the credential that was refused, and only that one. */
export function forget(auth) {
  if (auth?.token) {
    write(session, SHARED, null);
    write(local, SHARED, null);
  }
  if (auth?.deviceToken) write(local, DEVICE, null);
}

/** Forgets everything. */
export function signOut() {
  write(session, SHARED, null);
  write(local, SHARED, null);
  write(local, DEVICE, null);
}
