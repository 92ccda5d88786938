// Text of running attempts, as it is written: the end of it, put into the page as text.

const LONGEST = 20000;

export class Texts {
  #texts = new Map(); // path → text

  clear() {
    this.#texts.clear();
  }

  forget(path) {
    this.#texts.delete(path);
    this.#put(path);
  }

  add(path, token) {
    this.#texts.set(path, ((this.#texts.get(path) ?? "") + token).slice(-LONGEST));
    this.#put(path);
  }

  // The places are new after the page was brought up to date.
  show() {
    for (const path of this.#texts.keys()) this.#put(path);
  }

  #put(path) {
    const place = document.querySelector(`[data-text-of="${CSS.escape(path)}"]`);
    if (!place) return;
    const text = this.#texts.get(path) ?? "";
    const follows = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
    if (place.textContent !== text) place.textContent = text;
    place.hidden = !text;
    if (follows) place.scrollTop = place.scrollHeight;
  }
}
