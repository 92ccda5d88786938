// The parts of a run's page: fetched as they are now and morphed into the page. What a person has unfolded or turned
// to goes with each request, so that the server sends what is shown and no more.

import { morph } from "./morph.js";

const SHORTEST = 250; // milliseconds between two requests; more where answers take longer
const LONGEST_ADDRESS = 6000;

export class Parts {
  #page;
  #onFresh;
  #wanted = new Set();
  #timer = null;
  #busy = false;
  #pause = SHORTEST;
  #folded = new Map(); // path → whether a person has opened it
  #starts = new Map(); // path → number of the child from which on its children are shown
  #shown = new Set(); // names of folded parts that are unfolded
  #at = new URLSearchParams(location.search).get("at") ?? "";

  constructor(page, onFresh) {
    this.#page = page;
    this.#onFresh = onFresh;
    for (const part of page.querySelectorAll("[data-lazy][open]")) this.#shown.add(part.dataset.lazy);
    for (const text of new URLSearchParams(location.search).getAll("from")) this.#turn(text);
    page.addEventListener("toggle", (event) => this.#toggled(event.target), true);
    page.addEventListener("click", (event) => this.#clicked(event));
  }

  get live() {
    return [...this.#page.querySelectorAll("[data-live]")]
      .filter((part) => !part.querySelector(":scope > [data-lazy]:not([open])"))
      .map((part) => part.dataset.part);
  }

  // Soon: what is asked for meanwhile is fetched with it.
  ask(names) {
    for (const name of names) this.#wanted.add(name);
    if (this.#timer === null && !this.#busy) this.#timer = setTimeout(() => this.#fetch(), this.#pause);
  }

  now(names) {
    for (const name of names) this.#wanted.add(name);
    clearTimeout(this.#timer);
    this.#timer = null;
    return this.#busy ? undefined : this.#fetch();
  }

  // Unfold what is around a step, and show it.
  async show(path) {
    this.#at = path;
    for (const other of [...this.#folded.keys()]) {
      if (path === other || path.startsWith(`${other}.`) || path.startsWith(`${other}[`)) this.#folded.delete(other);
    }
    this.#starts.clear();
    await this.now(["steps"]);
    const step = document.getElementById(`step-${path}`);
    step?.scrollIntoView({ block: "start" });
    step?.querySelector("summary").focus({ preventScroll: true });
  }

  async #fetch() {
    this.#timer = null;
    this.#busy = true;
    const names = [...this.#wanted];
    this.#wanted.clear();
    const began = performance.now();
    try {
      const answer = await fetch(this.#address(names), { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) this.#put(await answer.text());
    } catch {
      // The server is away: the stream says so, and asks again when it is back.
    }
    this.#pause = Math.max(SHORTEST, 4 * (performance.now() - began));
    this.#busy = false;
    if (this.#wanted.size) this.ask([]);
  }

  #address(names) {
    const query = new URLSearchParams(names.map((name) => ["part", name]));
    query.set("sparing", "1");
    if (this.#at) query.set("at", this.#at);
    for (const name of this.#shown) query.append("show", name);
    for (const [path, start] of this.#starts) query.append("from", `${path}:${start}`);
    for (const [path, open] of this.#folded) query.append(open ? "open" : "shut", path);
    return `${this.#page.dataset.parts}?${query}`;
  }

  #put(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      for (const step of part.querySelectorAll("details[data-path]")) {
        const open = this.#folded.get(step.dataset.path);
        if (open !== undefined) step.open = open; // folded while the answer was on its way
      }
      this.#keepFolds(part);
      const old = document.getElementById(part.id);
      if (old) morph(old, part);
    }
    this.#onFresh();
  }

  // Folds within a step, such as a trace, are a person's alone.
  #keepFolds(part) {
    for (const fold of part.querySelectorAll("details.k-fold[data-key]")) {
      const step = fold.closest("details[data-path]");
      const old = step && document.getElementById(step.id)?.querySelector(`.k-fold[data-key="${fold.dataset.key}"]`);
      if (old?.open) fold.open = true;
    }
  }

  #toggled(fold) {
    const { path, lazy } = fold.dataset;
    if (lazy) {
      if (fold.open) this.#shown.add(lazy);
      else this.#shown.delete(lazy);
      if (fold.open) this.now([lazy]);
    } else if (path && fold.open && fold.hasAttribute("data-unloaded")) {
      this.#remember(path, true);
      this.now(["steps"]);
    }
  }

  #remember(path, open) {
    this.#folded.delete(path);
    this.#folded.set(path, open); // the newest stands last
    while ([...this.#folded.keys()].join().length > LONGEST_ADDRESS) {
      this.#folded.delete(this.#folded.keys().next().value);
    }
  }

  #clicked(event) {
    const link = event.target.closest("a[data-at], a[data-from]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (link.dataset.at) this.show(link.dataset.at);
      else this.#turn(link.dataset.from, true);
      return;
    }
    const fold = event.target.closest("summary")?.parentElement;
    if (fold?.dataset.path) this.#remember(fold.dataset.path, !fold.open); // the click is about to turn it
  }

  #turn(text, now = false) {
    const cut = text.lastIndexOf(":");
    this.#starts.set(text.slice(0, cut), text.slice(cut + 1));
    if (now) this.now(["steps"]);
  }
}
