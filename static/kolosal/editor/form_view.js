// The view of forms: steps are added, removed, moved, and the chosen function tells what it takes. Without script the
// form still works: positions are numbers, and "Remove this step" is a box to tick.

export class FormView {
  static view = "form";

  constructor({ section, form, schemas, changed, draw }) {
    Object.assign(this, { section, form, schemas, changed, draw });
    section.addEventListener("click", (event) => this.#clicked(event));
    section.addEventListener("input", () => changed());
    section.addEventListener("change", (event) => this.#edited(event.target.closest("[data-step]")));
    this.#begin();
  }

  async open({ definition, asServed }) {
    if (asServed) return;
    const fields = this.section.querySelector("[data-fields]");
    fields.innerHTML = await this.draw(definition); // the server's own markup
    this.form.elements.written.value = fields.firstElementChild.dataset.written;
    this.#begin();
  }

  fields() {
    return { view: "form", ...Object.fromEntries(new FormData(this.form)) };
  }

  take({ problems }) {
    for (const step of this.#list.children) step.classList.remove("has-problem");
    for (const { path } of problems) this.#stepOf(path)?.classList.add("has-problem");
  }

  reveal({ path }) {
    const step = this.#stepOf(path);
    if (step) step.open = true;
    const key = /^(?:steps\[\d+\]\.)?(\w*)/.exec(path)?.[1];
    const field = (step ?? this.section).querySelector(`[data-field="${CSS.escape(key || "step_id")}"] :is(input, select, textarea)`);
    (field ?? step?.querySelector("summary") ?? this.section).focus();
  }

  get #list() {
    return this.section.querySelector("[data-steps]");
  }

  #input(step, name) {
    return step.querySelector(`[name$="-${name}"]`);
  }

  #shown() {
    return [...this.#list.children].filter((step) => !step.hidden);
  }

  #stepOf(path) {
    return this.#shown()[Number(/^steps\[(\d+)\]/.exec(path)?.[1] ?? NaN)];
  }

  #begin() {
    const byPosition = (step) => Number(this.#input(step, "position").value) || Infinity;
    this.#list.append(...[...this.#list.children].sort((a, b) => byPosition(a) - byPosition(b)));
    for (const step of this.#list.children) {
      if (this.#input(step, "remove").checked) step.hidden = true;
      this.#describe(step);
    }
    this.#number();
  }

  #number() {
    this.#shown().forEach((step, index) => {
      step.querySelector("[data-number]").textContent = index + 1;
      this.#input(step, "position").value = index + 1;
    });
  }

  #edited(step) {
    if (!step) return;
    step.querySelector("[data-title]").textContent = this.#input(step, "step_id").value || "New step";
    const parts = [step.dataset.block, this.#input(step, "agent_id").value, this.#input(step, "function_name").value];
    step.querySelector("[data-subtitle]").textContent = parts.filter(Boolean).join(" · ");
    this.#describe(step);
  }

  // Functions that the agent does not offer are hidden, not taken away: the checks decide.
  #describe(step) {
    const { agents, functions } = this.schemas.palette;
    const offered = agents[this.#input(step, "agent_id").value]?.functions;
    const chosen = this.#input(step, "function_name");
    for (const option of chosen.options) option.hidden = Boolean(offered && option.value && !offered.includes(option.value));
    const about = step.querySelector("[data-about]");
    about.replaceChildren();
    const known = functions[chosen.value];
    if (!known) return;
    const text = document.createElement("p");
    text.textContent = known.about;
    const table = document.createElement("table");
    table.className = "k-events";
    for (const [name, schema] of Object.entries(known.parameters.properties ?? {})) {
      const row = table.insertRow();
      const required = known.parameters.required?.includes(name);
      for (const part of [name, this.#type(schema), required ? "required" : this.#default(schema), schema.description]) {
        row.insertCell().textContent = part ?? "";
      }
    }
    about.append(text, table);
  }

  #type(schema) {
    const options = schema.anyOf ?? [schema];
    return options.map(({ enum: values, type }) => values?.join(" | ") ?? type ?? "any").filter((type) => type !== "null").join(" or ");
  }

  #default({ default: value }) {
    return value === null || value === undefined || value === "" ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  #clicked(event) {
    const button = event.target.closest("button[type=button]");
    if (!button) return;
    event.preventDefault();
    const step = button.closest("[data-step]");
    if ("add" in button.dataset) this.#add();
    else if ("remove" in button.dataset) this.#remove(step);
    else if (button.dataset.move) this.#move(step, Number(button.dataset.move), button);
    this.#number();
    this.changed();
  }

  #add() {
    const total = this.section.querySelector("[name=steps-TOTAL_FORMS]");
    const holder = document.createElement("template");
    holder.innerHTML = this.section.querySelector("[data-step-template]").innerHTML.replaceAll("__prefix__", total.value);
    total.value = Number(total.value) + 1;
    const step = holder.content.firstElementChild;
    this.#list.append(step);
    this.#describe(step);
    this.#input(step, "step_id").focus();
  }

  #remove(step) {
    this.#input(step, "remove").checked = true;
    step.hidden = true;
  }

  #move(step, by, button) {
    const steps = this.#shown();
    const other = steps[steps.indexOf(step) + by];
    if (!other) return;
    if (by < 0) other.before(step);
    else other.after(step);
    button.focus();
  }
}
