// The designer: steps as boxes that are dragged from a toolbox, and a panel of fields for the one that is chosen.
import { Designer } from "../../vendor/designer.js";
import { reachCompletion } from "./codemirror.js";
import { element, fieldFor } from "./fields.js";
import { labelOf, misshapen, ordered, parsePath, toGraph, toNode, toSteps, uid, walk, written } from "./graph.js";
import { branchKeys } from "./schema.js";

const UNDO = 100;
const NARROW = window.matchMedia("(max-width: 720px)");
const FIRST = ["step_id", "step_name", "agent_id", "function_name", "parameters"];
const BLANKS = {
  if: { if: "true", then: [], else: [] },
  switch: { switch: "", cases: { first: [] }, default: [] },
  for_each: { for_each: "", steps: [] },
  while: { while: "", steps: [] },
  parallel: { parallel: { first: [], second: [] } },
  workflow: { workflow: "" },
  wait: { wait: { seconds: 60 } },
  approval: { approval: { prompt: "" } },
  wait_for: { wait_for: { event: "" } },
};
const NAMES = {
  if: "if", switch: "switch", for_each: "for each", while: "while", parallel: "parallel",
  workflow: "workflow", wait: "wait", approval: "approval", wait_for: "wait for event",
};

export class DesignerView {
  static view = "designer";

  constructor({ section, schemas, changed, reach }) {
    Object.assign(this, { section, schemas, changed, reach });
    this.wrong = new Map(); // node id → its problems
    this.places = new Map(); // node id → path
    this.groups = this.#groups();
    new MutationObserver(() => this.#quietIcons()).observe(section, { childList: true, subtree: true });
  }

  refusal(definition) {
    return "steps" in definition ? misshapen(definition.steps) : "";
  }

  async open({ definition }) {
    const { steps = [], ...own } = definition;
    this.own = own;
    this.designer?.destroy();
    const graph = { sequence: toGraph(steps), properties: {} };
    this.#place(graph);
    this.designer = Designer.create(this.section, graph, this.#configuration());
    this.designer.onDefinitionChanged.subscribe((event) => this.#edited(event));
    await new Promise((ready) => this.designer.onReady.subscribe(ready));
  }

  // The icons of the toolbox say nothing that the words beside them don't.
  #quietIcons() {
    for (const icon of this.section.querySelectorAll("img:not([alt])")) icon.alt = "";
  }

  get definition() {
    const own = ordered(this.own, Object.keys(this.schemas.root.properties));
    return { ...own, steps: this.#place(this.designer.getDefinition()) };
  }

  fields() {
    return { view: "designer", definition: JSON.stringify(this.definition) };
  }

  take({ problems }) {
    this.#place(this.designer.getDefinition());
    const byPlace = new Map([...this.places].map(([id, path]) => [JSON.stringify(path), id]));
    this.wrong = new Map();
    for (const problem of problems) {
      const id = this.#nodeAt(parsePath(problem.path), byPlace);
      if (id) this.wrong.set(id, [...(this.wrong.get(id) ?? []), problem]);
    }
    this.designer.updateBadges();
    this.#tellInPanel();
    this.#colour();
  }

  reveal({ path }) {
    const byPlace = new Map([...this.places].map(([id, place]) => [JSON.stringify(place), id]));
    const keys = parsePath(path);
    const id = this.#nodeAt(keys, byPlace);
    if (!id) {
      this.designer.clearSelectedStep();
      return this.#focus(keys[0]);
    }
    this.designer.selectStepById(id);
    this.designer.moveViewportToStep(id);
    this.#focus(keys[this.places.get(id).length], keys[this.places.get(id).length + 1]);
  }

  // The steps of a graph; where each stands is kept.
  #place(graph) {
    this.places = new Map();
    return toSteps(graph.sequence, ["steps"], this.places);
  }

  // Each box in the colour of what its step came to in a try.
  tried(steps) {
    this.outcomes = new Map(steps.map((step) => [step.step_id, step]));
    this.#colour();
  }

  #colour() {
    if (!this.outcomes || !this.designer) return;
    for (const node of walk(this.designer.getDefinition().sequence)) {
      const box = this.section.querySelector(`[data-step-id="${node.id}"]`);
      const outcome = this.outcomes.get(node.properties.step.step_id);
      if (box && outcome) box.dataset.tried = outcome.status;
    }
  }

  // The innermost node on the way to a path.
  #nodeAt(keys, byPlace) {
    for (let end = keys.length; end > 0; end -= 1) {
      const id = byPlace.get(JSON.stringify(keys.slice(0, end)));
      if (id) return id;
    }
    return null;
  }

  #focus(...keys) {
    requestAnimationFrame(() => {
      const panel = this.section.querySelector(".k-panel");
      const found = keys.reverse().map((key) => key && panel?.querySelector(`[data-field="${CSS.escape(key)}"]`)).find(Boolean);
      found?.closest("details")?.setAttribute("open", "");
      (found?.querySelector("input, select, [contenteditable]") ?? panel)?.focus();
    });
  }

  #configuration() {
    return {
      theme: "kolosal",
      undoStackSize: UNDO,
      keyboard: { canHandleKey: (_, event) => !event.target.closest("input, select, textarea, [contenteditable]") },
      controlBar: true,
      contextMenu: true,
      uidGenerator: uid,
      steps: { iconUrlProvider: (_, kind) => new URL(`icons/${kind}.svg`, import.meta.url).href },
      validator: { step: (node) => !this.wrong.has(node.id), root: () => true },
      toolbox: { groups: this.groups, isCollapsed: NARROW.matches },
      editors: {
        isCollapsed: NARROW.matches,
        rootEditorProvider: (graph, context) => this.#rootPanel(graph, context),
        stepEditorProvider: (node, context) => this.#stepPanel(node, context),
      },
    };
  }

  #groups() {
    const { agents, blocks } = this.schemas.palette;
    const block = (kind) => ({ ...toNode({ step_id: kind, ...BLANKS[kind] }), name: NAMES[kind] ?? kind });
    const call = (agent, name) => ({ ...toNode({ step_id: name, agent_id: agent, function_name: name }), name });
    return [
      { name: "Blocks", steps: Object.keys(blocks).map(block) },
      ...Object.entries(agents).map(([agent, { functions }]) => ({ name: agent, steps: functions.map((name) => call(agent, name)) })),
    ];
  }

  // A step that came in gets an id of its own; one that was copied too.
  #edited({ stepId }) {
    const nodes = [...walk(this.designer.getDefinition().sequence)];
    const taken = new Set(nodes.filter((node) => node.id !== stepId).map((node) => node.properties.step.step_id));
    const inserted = nodes.find((node) => node.id === stepId);
    if (inserted && entitle(inserted, taken)) this.designer.updateRootComponent();
    this.changed();
  }

  #rootPanel(graph, context) {
    const properties = Object.entries(this.schemas.root.properties).filter(([key]) => key !== "steps");
    const first = ["workflow_id", "workflow_name", "description", "parameters", "global_context"];
    const changed = () => {
      context.notifyPropertiesChanged();
      this.changed();
    };
    const panel = this.#panel("Workflow", properties, first, { target: this.own, required: this.schemas.root.required, changed, at: [] });
    panel.append(this.#adding(null), this.#outline(graph));
    return panel;
  }

  #stepPanel(node, context) {
    const { step } = node.properties;
    const schema = this.schemas.step(step);
    const inner = branchKeys(node.type);
    const properties = Object.entries(schema.properties).filter(([key]) => !inner.includes(key));
    const changed = (key) => {
      if (key === "step_id" || key === "step_name") {
        node.name = labelOf(step);
        context.notifyNameChanged();
      }
      context.notifyPropertiesChanged();
      if (key === "agent_id" || key === "function_name") this.#again(node.id);
    };
    const first = node.type === "function" ? FIRST : ["step_id", "step_name", node.type];
    const panel = this.#panel(NAMES[node.type] ?? step.function_name ?? "Step", properties, first, {
      target: step, required: schema.required, changed, at: this.places.get(node.id) ?? [], step,
    });
    if (node.branches && node.type !== "if") panel.append(this.#branches(node, context));
    panel.append(this.#adding(node), this.#moving(node));
    panel.dataset.node = node.id;
    this.#tellIn(panel);
    return panel;
  }

  // Draw the panel anew: other fields belong to another function.
  #again(id) {
    queueMicrotask(() => {
      this.designer.clearSelectedStep();
      this.designer.selectStepById(id);
    });
  }

  #panel(title, properties, first, { target, required = [], changed, at, step }) {
    const complete = (context, whole) => reachCompletion(context, () => this.reach(at), whole);
    const known = new Map(properties);
    const make = (key) => this.#field({ key, schema: known.get(key), target, required: required.includes(key), changed, complete, step });
    const more = properties.map(([key]) => key).filter((key) => !first.includes(key));
    const used = more.filter((key) => key in target);
    return element(
      "div",
      { class: "k-panel", tabindex: "-1" },
      element("h2", {}, title),
      element("div", { "data-told": "" }),
      ...first.filter((key) => known.has(key)).flatMap(make),
      element("details", { class: "k-fold", open: used.length > 0 }, element("summary", {}, "More"), ...more.flatMap(make)),
    );
  }

  #field({ key, schema, target, step, ...rest }) {
    const { agents, functions, workflows } = this.schemas.palette;
    const given = { key, schema, schemas: this.schemas, root: this.schemas.root, target, ...rest };
    if (key === "agent_id" && step) return fieldFor({ ...given, choices: Object.entries(agents).map(([name, { about }]) => [name, about ? `${name}: ${about}` : name]) });
    if (key === "function_name" && step) {
      const names = agents[step.agent_id]?.functions ?? Object.keys(functions);
      return fieldFor({ ...given, choices: names.map((name) => [name, name]) });
    }
    if (key === "workflow" && step) return fieldFor({ ...given, choices: workflows.map((id) => [id, id]) });
    const parameters = key === "parameters" && step && this.schemas.parametersOf(step);
    if (parameters) return this.#parameters(parameters, step, given);
    const object = this.schemas.options(schema).find((option) => option.properties);
    if (object && key in target && step && ["wait", "approval", "wait_for"].includes(key)) return this.#nested(object, this.schemas.root, target[key], given);
    return fieldFor(given);
  }

  // What the function takes: a field for each of its parameters.
  #parameters(schema, step, given) {
    const parameters = { ...step.parameters };
    const changed = () => {
      if (Object.keys(parameters).length || "parameters" in step) step.parameters = parameters;
      given.changed("parameters");
    };
    const about = this.schemas.palette.functions[step.function_name]?.about;
    return [about ? element("p", { class: "k-small" }, about) : null, this.#nested(schema, schema, parameters, { ...given, changed })];
  }

  #nested(schema, root, target, given) {
    const extra = Object.keys(target).filter((key) => !(key in schema.properties));
    const all = [...Object.entries(schema.properties), ...extra.map((key) => [key, {}])];
    const make = ([key, below]) =>
      fieldFor({ ...given, key, label: key, schema: below, root, target, required: schema.required?.includes(key) ?? false });
    return element("fieldset", { class: "k-nested", "data-field": given.key }, element("legend", {}, given.key), ...all.map(make));
  }

  // What the mouse does by dragging, for the keyboard and for narrow pages.
  #adding(node) {
    const places = [["after", node ? "After this step" : "At the end"]];
    if (node?.sequence) places.push(["sequence", "Inside, at the end"]);
    for (const name of Object.keys(node?.branches ?? {})) places.push([`branch ${name}`, `In ${name}, at the end`]);
    const what = element("select", { "aria-label": "Which step to add" });
    for (const { name, steps } of this.groups) {
      what.append(element("optgroup", { label: name }, ...steps.map((step) => element("option", {}, step.name))));
    }
    const where = element("select", { "aria-label": "Where to add it" }, ...places.map(([value, shown]) => element("option", { value }, shown)));
    const add = element("button", { type: "button", class: "k-button is-small" }, "Add");
    const all = this.groups.flatMap(({ steps }) => steps);
    add.addEventListener("click", () => this.#insert(structuredClone(all[what.selectedIndex]), node, where.value));
    return element("fieldset", { class: "k-nested" }, element("legend", {}, "Add a step"), what, where, add);
  }

  #insert(made, node, where) {
    made.id = uid();
    this.#change((definition, find) => {
      if (where === "sequence") find(node.id).node.sequence.push(made);
      else if (where.startsWith("branch ")) find(node.id).node.branches[where.slice(7)].push(made);
      else if (node) find(node.id).list.splice(find(node.id).index + 1, 0, made);
      else definition.sequence.push(made);
      const taken = new Set([...walk(definition.sequence)].filter((each) => each.id !== made.id).map((each) => each.properties.step.step_id));
      entitle(made, taken);
    }, made.id);
  }

  #moving(node) {
    const button = (label, act, danger) => {
      const made = element("button", { type: "button", class: `k-button is-small${danger ? " is-danger" : ""}` }, label);
      made.addEventListener("click", act);
      return made;
    };
    const move = (by) => this.#change((_, find) => {
      const { list, index } = find(node.id);
      const to = index + by;
      if (to >= 0 && to < list.length) list.splice(to, 0, ...list.splice(index, 1));
    }, node.id);
    const copy = () => {
      const made = renewed(structuredClone(node));
      this.#insert(made, node, "after");
    };
    const remove = () => this.#change((_, find) => find(node.id).list.splice(find(node.id).index, 1), null);
    return element("div", { class: "k-buttons" }, button("Move up", () => move(-1)), button("Move down", () => move(1)), button("Copy", copy), button("Delete", remove, true), button("Back to the workflow", () => this.designer.clearSelectedStep()));
  }

  // Change a copy of the graph, as one step that can be undone, and choose a step in it.
  async #change(edit, chosen) {
    const definition = structuredClone(this.designer.getDefinition());
    edit(definition, (id) => search(definition.sequence, id));
    await this.designer.replaceDefinition(definition);
    this.#place(definition);
    this.changed();
    if (chosen) this.designer.selectStepById(chosen);
    else this.designer.clearSelectedStep();
    this.#focus("step_id", "workflow_id");
  }

  // All steps as a list of buttons.
  #outline(graph) {
    const items = (nodes) => nodes.map((node) => {
      const choose = element("button", { type: "button", class: "k-link" }, node.name);
      choose.addEventListener("click", () => this.reveal({ path: written(this.places.get(node.id)) }));
      const inner = node.sequence ? [["", node.sequence]] : Object.entries(node.branches ?? {});
      const lists = inner.filter(([, list]) => list.length).map(([name, list]) => element("li", {}, name, element("ol", {}, ...items(list))));
      return element("li", {}, choose, lists.length ? element("ol", {}, ...lists) : null);
    });
    return element("nav", { class: "k-outline", "aria-label": "Steps" }, element("h3", {}, "Steps"), element("ol", {}, ...items(graph.sequence)));
  }

  // Branches by name: added, renamed, removed.
  #branches(node, context) {
    const fixed = node.type === "switch" ? ["default"] : [];
    const box = element("fieldset", { class: "k-nested" }, element("legend", {}, node.type === "switch" ? "Cases" : "Branches"));
    const put = (entries) => {
      node.branches = Object.fromEntries(entries);
      context.notifyChildrenChanged();
      this.#again(node.id);
    };
    const entries = Object.entries(node.branches);
    for (const [name, nodes] of entries) {
      if (fixed.includes(name)) continue;
      const input = element("input", { value: name, "aria-label": `Name of the branch ${name}` });
      input.addEventListener("change", () => {
        const free = input.value && !(input.value in node.branches);
        if (free) put(entries.map(([each, steps]) => [each === name ? input.value : each, steps]));
        else input.value = name;
      });
      const remove = element("button", { type: "button", class: "k-button is-small is-danger", "aria-label": `Remove the branch ${name}` }, "Remove");
      remove.disabled = entries.length - fixed.length < 2;
      remove.addEventListener("click", () => {
        if (!nodes.length || window.confirm(`Remove the branch ${name} with its ${nodes.length} steps?`)) put(entries.filter(([each]) => each !== name));
      });
      box.append(element("div", { class: "k-buttons k-branch" }, input, remove));
    }
    const add = element("button", { type: "button", class: "k-button is-small" }, "Add a branch");
    add.addEventListener("click", () => {
      let number = entries.length;
      while (`branch_${number}` in node.branches) number += 1;
      put([...entries.filter(([each]) => !fixed.includes(each)), [`branch_${number}`, []], ...entries.filter(([each]) => fixed.includes(each))]);
    });
    box.append(add);
    return box;
  }

  #tellInPanel() {
    const panel = this.section.querySelector(".k-panel[data-node]");
    if (panel) this.#tellIn(panel);
  }

  #tellIn(panel) {
    const found = this.wrong.get(panel.dataset.node) ?? [];
    panel.querySelector("[data-told]").replaceChildren(
      ...found.map((problem) => element("p", { class: problem.severity === "warning" ? "k-small" : "k-field-error" }, problem.message)),
    );
  }
}

// Give a node, and those inside it, ids that no other step has. Returns whether any had to change.
function entitle(inserted, taken) {
  let renamed = false;
  for (const node of walk([inserted])) {
    const { step } = node.properties;
    const [, stem] = /^(.*?)(?:_\d+)?$/.exec(step.step_id || node.type);
    let id = step.step_id;
    for (let number = 2; !id || taken.has(id); number += 1) id = `${stem}_${number}`;
    taken.add(id);
    renamed ||= id !== step.step_id || node.name !== labelOf({ ...step, step_id: id });
    step.step_id = id;
    node.name = labelOf(step);
  }
  return renamed;
}

function renewed(node) {
  for (const each of walk([node])) each.id = uid();
  return node;
}

// Where a node stands: `{ list, index, node }`.
function search(list, id) {
  for (const [index, node] of list.entries()) {
    if (node.id === id) return { list, index, node };
    for (const inner of node.sequence ? [node.sequence] : Object.values(node.branches ?? {})) {
      const found = search(inner, id);
      if (found) return found;
    }
  }
  return null;
}
