// Trying what stands in the editor: starts a run, follows it, and shows what each step came to.
import { element } from "./fields.js";

const PAUSE = 150; // milliseconds between an event of the run and reading its steps
const LONGEST = 4000; // characters of a result that are shown

export class Trial {
  constructor({ card, post, fields, shown }) {
    Object.assign(this, { card, post, fields, shown });
    card.hidden = false;
    card.querySelector("[data-start]").addEventListener("click", () => this.start());
    card.querySelector("[data-anew]").addEventListener("click", () => {
      this.#input("series").value = crypto.randomUUID();
      this.start();
    });
    card.querySelector("[data-stop]").addEventListener("click", () => this.#cancel());
  }

  async start() {
    this.source?.close();
    const { input, offline, series } = { input: this.#input("input").value, offline: this.#input("offline").checked, series: this.#input("series").value };
    const answer = await this.post(this.card.dataset.try, { ...this.fields(), input, series, ...(offline ? { offline: "on" } : {}) });
    if (!answer) return;
    const body = await answer.json();
    if (body.errors) {
      this.#tell(body.errors.join(" "));
      return;
    }
    this.urls = body;
    this.#tell("Running …");
    this.#running(true);
    this.#follow();
  }

  #cancel() {
    const token = this.card.closest("form").elements.csrfmiddlewaretoken.value;
    return fetch(this.urls.cancel, { method: "POST", headers: { "X-CSRFToken": token } });
  }

  #follow() {
    this.source = new EventSource(this.urls.stream);
    this.source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#read(), PAUSE);
      if (event.type === "workflow_complete") this.#ended(event.result);
    };
  }

  #ended({ success, error_message: message }) {
    this.source.close();
    this.#running(false);
    const whole = element("a", { class: "k-link", href: this.urls.page }, "See the run");
    this.#tell(success ? "Completed. " : `Not completed: ${message || "see its steps"} `, whole);
  }

  async #read() {
    const answer = await fetch(`${this.urls.steps}?page_size=100`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { data } = await answer.json();
    const steps = (data.results ?? data.steps ?? data).filter((step) => !step.superseded);
    this.card.querySelector("[data-results]").replaceChildren(...steps.map((step) => this.#item(step)));
    this.shown(steps);
  }

  #item(step) {
    const told = step.error_message || text(step.result_data);
    const reused = step.reason === "cache" ? "as before" : "";
    return element(
      "li",
      { class: `is-${step.status}` },
      element("span", { class: `k-badge is-${step.status}` }, step.status),
      element("b", { class: "k-mono" }, step.path),
      element("span", { class: "k-quiet" }, reused),
      told ? element("details", { class: "k-fold", open: step.status === "failed" }, element("summary", {}, told.slice(0, 100)), element("pre", { class: "k-text k-mono" }, told)) : null,
    );
  }

  #running(is) {
    this.card.querySelector("[data-stop]").hidden = !is;
  }

  #tell(...parts) {
    this.card.querySelector("[data-told]").replaceChildren(...parts);
  }

  #input(name) {
    return this.card.querySelector(`[name="${name}"]`);
  }
}

function text(value) {
  const all = value === null || value === undefined ? "" : JSON.stringify(value, null, 2);
  return all.length > LONGEST ? `${all.slice(0, LONGEST)}\n…` : all;
}
