// The box a message is written in: grows with its text, sends with Enter, keeps what is written while offline.

/** The box grows to about ten lines. */
const HIGHEST = 220;

export class Composer {
  #box;
  #button;
  #online = false;

  /** `onSend(text)` gets each message, trimmed and not empty. */
  constructor(form, box, button, onSend) {
    this.#box = box;
    this.#button = button;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = box.value.trim();
      if (!text || !this.#online) return;
      box.value = "";
      this.#changed();
      onSend(text);
      box.focus();
    });
    box.addEventListener("input", () => this.#changed());
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }

  /** Whether messages can be sent now. */
  online(online) {
    this.#online = online;
    this.#box.placeholder = online ? "Message the assistant" : "Not connected. What you write stays here.";
    this.#changed();
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  #changed() {
    this.#button.disabled = !this.#online || !this.#box.value.trim();
    this.#box.style.height = "auto";
    const wanted = this.#box.scrollHeight;
    if (wanted > 0) this.#box.style.height = `${Math.min(wanted, HIGHEST)}px`;
  }
}
