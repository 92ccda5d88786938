// The editor of definitions: three views of one, what the server finds wrong with it, and whether the page may be left.
import { DesignerView } from "./designer_view.js";
import { FormView } from "./form_view.js";
import { Schemas, isObject } from "./schema.js";
import { Trial } from "./trial.js";
import { YamlView } from "./yaml_view.js";

const PAUSE = 400; // milliseconds without typing, after which the server looks at what there is
const LARGEST = 1024 * 1024; // bytes of a file
const FAVOURITE = "kolosal-view";

const read = (id) => JSON.parse(document.getElementById(id).textContent);

class Editor {
  constructor(form) {
    this.form = form;
    this.state = read("k-state");
    this.schemas = new Schemas(read("k-palette"));
    this.tabs = [...form.querySelectorAll("[data-tab]")];
    this.changed = this.changed.bind(this);
    this.views = { designer: this.#view(DesignerView), yaml: this.#view(YamlView), form: this.#view(FormView) };
    this.written = null; // the YAML as it was typed, and the definition that it means
    this.lastRead = isObject(this.state.definition) ? this.state.definition : null;
    this.dirty = false;
  }

  async begin() {
    const { form, state } = this;
    form.classList.add("has-script");
    form.querySelector("[data-tabs]").hidden = false;
    form.addEventListener("submit", (event) => this.#submit(event));
    form.addEventListener("input", (event) => event.target.closest("[data-view]") && this.changed());
    this.tabs.forEach((tab) => tab.addEventListener("click", () => this.open(tab.dataset.tab)));
    form.querySelector("[data-tabs]").addEventListener("keydown", (event) => this.#arrow(event));
    window.addEventListener("beforeunload", (event) => this.dirty && event.preventDefault());
    if (state.text && state.definition) this.written = { text: state.text, meaning: JSON.stringify(state.definition) };
    const card = form.querySelector("[data-trial]");
    if (card) {
      const shown = (steps) => this.views.designer.tried(steps);
      new Trial({ card, shown, fields: () => this.view.fields(), post: (address, fields) => this.#post(address, fields) });
    }
    this.#files();
    const first = state.view || localStorage.getItem(FAVOURITE) || "designer";
    const shown = [first, "yaml"].find((name) => !this.#refusal(name, state));
    this.begun = this.#show(shown, { ...state, asServed: true });
    await this.begun;
    this.#tell(state.problems);
    this.dirty = state.refused;
  }

  // A file that is chosen, or dropped anywhere on the editor, is opened as text.
  #files() {
    const chosen = this.form.querySelector("[data-file]");
    chosen.addEventListener("change", () => this.#openFile(chosen.files[0]));
    this.form.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    this.form.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer.files;
      if (!file) return;
      event.preventDefault();
      this.#openFile(file);
    });
    const format = this.form.querySelector("[data-format]");
    format.addEventListener("click", () => this.views.yaml.format());
  }

  async #openFile(file) {
    if (!file || (this.dirty && !window.confirm(`Put ${file.name} in the place of what you have written?`))) return;
    if (file.size > LARGEST) {
      this.#tell([], `${file.name} is larger than a definition may be, 1 MB.`);
      return;
    }
    await this.#show("yaml", { text: await file.text(), definition: null, problems: [] });
    this.changed();
  }

  // Something was edited.
  changed() {
    this.dirty = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), PAUSE);
  }

  // Ask the server what it thinks of what stands in the open view.
  async look(more = {}) {
    clearTimeout(this.timer);
    if (!more.at) this.looking?.abort();
    const control = new AbortController();
    if (!more.at) this.looking = control;
    const answer = await this.#post(this.form.dataset.look, { ...this.view.fields(), ...more }, control.signal);
    if (!answer) return null;
    const found = await answer.json();
    if (more.at) return found;
    if (isObject(found.definition)) this.lastRead = found.definition;
    if (this.name === "yaml") this.written = { text: found.text, meaning: JSON.stringify(found.definition) };
    this.view.take(found);
    this.#tell(found.problems);
    return found;
  }

  // What expressions can name at a path. While a line is being written the text often can't be read: then what was read
  // last tells.
  async reach(path) {
    const at = JSON.stringify(path);
    const found = await this.look({ at });
    if (!found || found.reach.length || !this.lastRead) return found?.reach ?? [];
    const before = await this.look({ at, view: "designer", definition: JSON.stringify(this.lastRead) });
    return before?.reach ?? [];
  }

  // Open another view on what stands in this one.
  async open(name) {
    await this.begun;
    if (name === this.shown) return;
    const found = await this.look();
    if (!found) return;
    const refusal = this.#refusal(name, found);
    if (refusal) {
      this.#tell(found.problems, refusal);
      return;
    }
    if (name === "yaml" && this.written?.meaning === JSON.stringify(found.definition)) found.text = this.written.text;
    await this.#show(name, found);
    this.#tell(found.problems);
    localStorage.setItem(FAVOURITE, name);
  }

  // Until a view is drawn, what stands in the one before it counts.
  async #show(name, found) {
    const view = this.views[name];
    this.shown = name;
    for (const section of this.form.querySelectorAll("[data-view]")) {
      section.hidden = section.dataset.view !== name;
      const fields = section.querySelector("[data-fields]");
      if (fields) fields.disabled = section.hidden; // what is not shown is not sent
    }
    this.tabs.forEach((tab) => {
      tab.setAttribute("aria-selected", tab.dataset.tab === name);
      tab.tabIndex = tab.dataset.tab === name ? 0 : -1;
    });
    this.form.querySelector("[data-format]").hidden = name !== "yaml";
    const section = this.form.querySelector(`[data-view="${name}"]`);
    section.inert = true; // what is edited before it is drawn would be lost
    await view.open(found);
    section.inert = false;
    if (name !== this.shown) return; // another was chosen meanwhile
    this.name = name;
    this.view = view;
    view.focus?.();
    view.take(found);
  }

  // Why a view can't show what was read; empty where it can.
  #refusal(name, { definition, beyond }) {
    if (name === "yaml") return "";
    if (definition && !isObject(definition)) return "This is no object yet: it begins with workflow_id and steps.";
    if (!definition) return "The YAML can't be read yet: mend it first.";
    if (beyond) return `The number at ${beyond} is larger than a browser can hold: edit this definition as YAML.`;
    return this.views[name].refusal?.(definition) ?? "";
  }

  #tell(problems, refusal = "") {
    const card = this.form.querySelector("[data-problems]");
    const list = card.querySelector("ol");
    const errors = problems.filter((problem) => problem.severity !== "warning").length;
    const told = errors ? `${errors} ${errors === 1 ? "problem" : "problems"}` : problems.length ? "warnings only" : "no problems";
    this.form.querySelector("[data-count]").textContent = refusal || told;
    card.hidden = !problems.length;
    list.replaceChildren(...problems.map((problem) => this.#item(problem)));
  }

  #item(problem) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = `k-problem is-${problem.severity}`;
    const place = document.createElement("span");
    place.className = "k-mono";
    place.textContent = problem.line ? `line ${problem.line}, column ${problem.column}` : problem.path;
    button.append(place, ` ${problem.message}`);
    button.addEventListener("click", () => this.view.reveal(problem));
    item.append(button);
    return item;
  }

  #submit() {
    const { elements } = this.form;
    const fields = this.view.fields();
    elements.view.value = this.name;
    if ("text" in fields) elements.text.value = fields.text;
    if ("definition" in fields) elements.definition.value = fields.definition;
    this.dirty = false;
  }

  #arrow(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const now = this.tabs.findIndex((tab) => tab === document.activeElement);
    this.tabs.at((now + by) % this.tabs.length).focus();
  }

  #view(View) {
    return new View({
      section: this.form.querySelector(`[data-view="${View.view}"]`),
      form: this.form,
      textarea: this.form.elements.text,
      schemas: this.schemas,
      changed: this.changed,
      reach: (path) => this.reach(path),
      draw: (definition) => this.#draw(definition),
    });
  }

  async #draw(definition) {
    const fields = { view: "designer", definition: JSON.stringify(definition) };
    const answer = await this.#post(this.form.dataset.forms, fields);
    return answer.text();
  }

  async #post(address, fields, signal) {
    const { written, stored_as: storedAs, csrfmiddlewaretoken: token } = this.form.elements;
    const body = new URLSearchParams({ ...fields, written: written.value, stored_as: storedAs.value, csrfmiddlewaretoken: token.value });
    try {
      const answer = await fetch(address, { method: "POST", body, signal });
      if (answer.ok) return answer;
      this.#tell([], `The server answered ${answer.status}: what you wrote is still here, and is not stored.`);
    } catch (error) {
      if (error.name !== "AbortError") this.#tell([], "The server can't be reached: what you wrote is still here, and is not stored.");
    }
    return null;
  }
}

const form = document.querySelector("[data-editor]");
if (form) new Editor(form).begin();
