// Fields for the properties of a JSON Schema: each writes into an object, and leaves it as it was while it can't be read.
import { parseDocument, stringify } from "../../vendor/yaml.js";
import { field as textField } from "./codemirror.js";
import { isObject } from "./schema.js";

const EXPRESSION = /^(if|switch|for_each|while|precondition|validation|result_processor)$/;
let number = 0;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const asYaml = (value) => (value === undefined ? "" : stringify(value, { lineWidth: 0 }).trimEnd());

// A labelled field for `key` of `target`. `changed` is called after each change; `complete` completes expressions.
export function fieldFor({ key, label = key, schema, schemas, root, target, required, changed, complete, choices, readOnly }) {
  const id = `k-field-${(number += 1)}`;
  const error = element("p", { class: "k-field-error", role: "alert", hidden: true });
  const holder = element("div", { class: "k-field", "data-field": key });
  const options = schemas.options(schema, root);
  const set = (value) => {
    error.hidden = true;
    if (value === undefined && !required) delete target[key];
    else target[key] = value ?? "";
    changed(key);
  };
  const made = widget({ id, key, label, schema, options, value: target[key], set, error, choices, complete, schemas, root, readOnly });
  holder.append(element("label", made.id ? { for: id } : {}, label, required ? element("span", { class: "k-quiet" }, " required") : null), made, error);
  const told = schema.description ?? options[0].description;
  if (told) holder.append(element("p", { class: "k-small" }, told));
  return holder;
}

function widget(given) {
  const { options, value, choices, schemas, schema, root } = given;
  if (choices) return choice(given, choices);
  const isText = typeof value === "string";
  const types = new Set(options.map((option) => option.type));
  if (types.has("boolean") && !isText) return box(given);
  const values = schemas.values(schema, root).filter((each) => each !== null);
  if (values.length && (value === undefined || values.includes(value))) return choice(given, values.map((each) => [each, String(each)]));
  if ((types.has("number") || types.has("integer")) && !isObject(value)) return numeric(given);
  if (types.has("string") && (isText || value === undefined || value === null)) return text(given);
  return structure(given);
}

function choice({ id, value, set, readOnly, schema }, choices) {
  const known = choices.some(([each]) => each === value);
  const extra = value === undefined || value === "" || known ? [] : [[value, `${value} (not known)`]];
  const empty = schema.default === undefined || schema.default === null ? "choose …" : `${schema.default} (default)`;
  const all = [["", empty], ...extra, ...choices];
  const select = element("select", { id, disabled: readOnly }, ...all.map(([each, shown]) => element("option", { value: String(each), selected: each === value }, shown)));
  select.addEventListener("change", () => {
    const [chosen] = all[select.selectedIndex];
    set(select.selectedIndex ? chosen : undefined);
  });
  return select;
}

function box({ id, value, schema, set, readOnly }) {
  const made = element("input", { id, type: "checkbox", checked: value ?? schema.default ?? false, disabled: readOnly });
  made.addEventListener("change", () => set(made.checked === schema.default ? undefined : made.checked));
  return made;
}

// A number, or `${…}`: what is no number stays text, and the checks tell.
function numeric({ id, value, schema, set, readOnly }) {
  const made = element("input", { id, inputmode: "decimal", value: value === undefined || value === null ? "" : String(value), placeholder: String(schema.default ?? ""), readOnly });
  made.addEventListener("input", () => {
    const typed = made.value.trim();
    set(typed === "" ? undefined : Number.isNaN(Number(typed)) ? typed : Number(typed));
  });
  return made;
}

function text({ label, key, value, set, complete, readOnly }) {
  return textField({
    text: value ?? "",
    label,
    complete: (context) => complete(context, EXPRESSION.test(key)),
    changed: (typed) => set(typed === "" ? undefined : typed),
    readOnly,
  }).dom;
}

// YAML of any value.
function structure({ label, value, set, error, complete, readOnly }) {
  const changed = (typed) => {
    const read = parseDocument(typed, { version: "1.2", schema: "core", uniqueKeys: true });
    if (!read.errors.length) return set(typed.trim() ? read.toJS() : undefined);
    error.textContent = `This is no YAML yet: ${read.errors[0].message.split("\n")[0]}`;
    error.hidden = false;
  };
  return textField({ text: asYaml(value), label: `${label}, as YAML`, structure: true, complete: (context) => complete(context, false), changed, readOnly }).dom;
}
