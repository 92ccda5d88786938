// A definition's steps as the designer's, and back.
import { CONTAINERS, branchKeys, isObject, kindOf } from "./schema.js";

export const uid = () => crypto.randomUUID().replaceAll("-", "");

const COMPONENTS = { if: "switch", switch: "switch", parallel: "switch", for_each: "container", while: "container" };

// In which order people write the keys of a step; steps inside it come last.
const ORDER = ["step_id", "step_name", "description", "depends_on", "precondition", ...Object.keys(COMPONENTS), "as", "workflow",
  "version", "input", "wait", "approval", "wait_for", "agent_id", "function_name", "llm_name", "parameters"];

export function ordered(object, order) {
  const place = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => place(a) - place(b)));
}

export const labelOf = (step) => step.step_name || step.step_id || "no id";

// Why the designer can't draw the steps: the first place where no list of steps stands. Empty where it can.
export function misshapen(steps, path = "steps") {
  if (!Array.isArray(steps)) return `${path} is no list of steps: mend it in the YAML view.`;
  for (const [index, step] of steps.entries()) {
    const place = `${path}[${index}]`;
    if (!isObject(step)) return `${place} is no step: mend it in the YAML view.`;
    const { named, lists = [] } = CONTAINERS[kindOf(step)] ?? {};
    if (named && !isObject(step[named])) return `${place}.${named} is no object of steps: mend it in the YAML view.`;
    const inner = [
      ...Object.entries(named ? step[named] : {}).map(([name, list]) => [`${place}.${named}.${name}`, list]),
      ...lists.filter((key) => key in step).map((key) => [`${place}.${key}`, step[key]]),
    ];
    for (const [below, list] of inner) {
      const found = misshapen(list, below);
      if (found) return found;
    }
  }
  return "";
}

export const toGraph = (steps) => steps.map(toNode);

export function toNode(step) {
  const kind = kindOf(step);
  const own = { ...step };
  for (const key of branchKeys(kind)) delete own[key];
  const node = { id: uid(), componentType: COMPONENTS[kind] ?? "task", type: kind, name: labelOf(step), properties: { step: own } };
  if (node.componentType === "container") node.sequence = toGraph(step.steps ?? []);
  if (node.componentType === "switch") node.branches = branches(step, kind);
  return node;
}

function branches(step, kind) {
  const { named, lists } = CONTAINERS[kind];
  const found = Object.entries(named ? step[named] : {}).map(([name, steps]) => [name, toGraph(steps)]);
  return Object.fromEntries([...found, ...lists.map((key) => [key, toGraph(step[key] ?? [])])]);
}

// The steps that the nodes stand for; `places` collects each node's path by its id.
export function toSteps(nodes, path = ["steps"], places = new Map()) {
  return nodes.map((node, index) => toStep(node, [...path, index], places));
}

function toStep(node, path, places) {
  places.set(node.id, path);
  const step = ordered(node.properties.step, ORDER);
  if (node.sequence) step.steps = toSteps(node.sequence, [...path, "steps"], places);
  if (!node.branches) return step;
  const { named, lists } = CONTAINERS[node.type];
  if (named) step[named] = {};
  for (const [name, nodes] of Object.entries(node.branches)) {
    if (!lists.includes(name)) step[named][name] = toSteps(nodes, [...path, named, name], places);
    else if (nodes.length || name === "then") step[name] = toSteps(nodes, [...path, name], places);
  }
  return step;
}

export function* walk(nodes) {
  for (const node of nodes) {
    yield node;
    for (const inner of node.sequence ? [node.sequence] : Object.values(node.branches ?? {})) yield* walk(inner);
  }
}

// `path` of a problem, as in `steps[2].then[0].parameters.x`, as keys and indices.
export function parsePath(text) {
  return [...text.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(([, index, quoted, word]) => (index ? Number(index) : quoted ?? word));
}

// A path as problems write it.
export const written = (path) =>
  path.map((part) => (typeof part === "number" ? `[${part}]` : /^[A-Za-z_][\w-]*$/.test(part) ? `.${part}` : `["${part}"]`)).join("").replace(/^\./, "");
