// What stands in the way of the dashboard when the gateway does not let this browser in.

import { setAttribute, setText } from "./dom.js";

const $ = (id) => document.getElementById(id);

/** `actions`: `signIn(token, remember)`, `again()`, `forget(auth)`. */
export class Gate {
  #actions;
  #asks = "secret";

  constructor(actions) {
    this.#actions = actions;
    $("gate-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#asks !== "secret") {
        this.#actions.again();
        return;
      }
      const token = $("token").value.trim();
      if (!token) {
        this.#error(`Enter the ${$("token-label").textContent.toLowerCase()}.`);
        return;
      }
      this.#error("");
      this.#busy(true);
      this.#actions.signIn(token, $("remember").checked);
    });
    $("token").addEventListener("input", () => this.#error(""));
  }

  /** Shows why, and what can be done; `refusal` as `explainRefusal` gives it. */
  show(refusal, error, auth) {
    this.#asks = refusal.asks;
    const secret = refusal.asks === "secret";
    if (secret) this.#actions.forget(auth);
    const first = $("gate").hidden;
    $("gate").hidden = false;
    $("app").hidden = true;
    this.#busy(false);
    setText($("gate-title"), refusal.title);
    setText($("gate-text"), secret ? "This gateway asks who you are." : (refusal.text ?? ""));
    $("gate-command").hidden = !refusal.command;
    setText($("gate-command"), refusal.command ?? "");
    $("gate-secret").hidden = !secret;
    if (secret) {
      const password = refusal.word === "password";
      setText($("token-label"), password ? "Gateway password" : "Gateway token");
      $("gate-hint-token").hidden = password;
      $("gate-hint-password").hidden = !password;
      this.#error(refusal.text ?? "");
      if (first) $("token").value = "";
      $("token").focus();
      $("token").select();
    }
    setText($("gate-go"), secret ? "Sign in" : "Try again");
    $("gate-go").hidden = false;
  }

  /** The gateway let us in. */
  hide() {
    $("gate").hidden = true;
    $("token").value = "";
    this.#busy(false);
  }

  #error(text) {
    setText($("gate-error"), text);
    setAttribute($("token"), "aria-invalid", text ? "true" : null);
  }

  #busy(on) {
    $("gate-go").disabled = on;
    setAttribute($("gate-form"), "aria-busy", on);
  }
}
