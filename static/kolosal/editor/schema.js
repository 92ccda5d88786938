// Reading the JSON Schema of definitions: what may stand at a place, and what is said of it.

export const CONTAINERS = {
  if: { lists: ["then", "else"] },
  switch: { named: "cases", lists: ["default"] },
  for_each: { lists: ["steps"] },
  while: { lists: ["steps"] },
  parallel: { named: "parallel", lists: [] },
};
const BLOCKS = ["if", "switch", "for_each", "while", "parallel", "workflow", "wait", "approval", "wait_for"];

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export const kindOf = (step) => (isObject(step) && BLOCKS.find((key) => key in step)) || "function";

// Keys under which a step holds other steps.
export function branchKeys(kind) {
  const { named, lists = [] } = CONTAINERS[kind] ?? {};
  return named ? [named, ...lists] : lists;
}

export class Schemas {
  constructor(palette) {
    this.palette = palette;
    this.root = palette.schema;
  }

  resolve(schema, root = this.root) {
    while (schema?.$ref) schema = root.$defs[schema.$ref.split("/").pop()];
    return schema ?? {};
  }

  // The schemas of which a value may match one: those of anyOf and oneOf, all references followed.
  options(schema, root = this.root) {
    const found = this.resolve(schema, root);
    const parts = found.anyOf ?? found.oneOf;
    if (!parts || found.properties) return [found];
    return parts.flatMap((part) => this.options({ ...part }, root)).map((part) => ({ description: found.description, ...part }));
  }

  // The schema of a step as it was written.
  step(step) {
    const kind = kindOf(step);
    const models = this.options(this.root.properties.steps.items);
    const key = kind === "function" ? "function_name" : kind;
    return models.find((model) => key in model.properties) ?? models[0];
  }

  parametersOf(step) {
    const known = this.palette.functions[step?.function_name]?.parameters;
    return known?.properties ? known : null;
  }

  // The properties that an object at this path of the definition may have: name → schema.
  propertiesAt(path, definition) {
    let schemas = [this.root];
    let root = this.root;
    let value = definition;
    let step = null;
    for (const part of path) {
      if (step && part === "parameters" && this.parametersOf(step)) {
        root = this.parametersOf(step);
        schemas = [root];
      } else if (typeof part === "number") {
        schemas = schemas.flatMap((schema) => this.options(schema.items ?? {}, root));
      } else {
        schemas = schemas.flatMap((schema) => this.#below(schema, part, root));
      }
      value = value?.[part];
      step = schemas.some((schema) => schema.properties?.step_id) ? (isObject(value) ? value : {}) : null;
      if (step && Object.keys(step).some((key) => key in { agent_id: 1, function_name: 1 } || BLOCKS.includes(key))) schemas = [this.step(step)];
    }
    return Object.assign({}, ...schemas.map((schema) => schema.properties ?? {}));
  }

  #below(schema, key, root) {
    const below = schema.properties?.[key] ?? schema.additionalProperties;
    return isObject(below) ? this.options(below, root) : [];
  }

  // The texts that may stand for a value of this schema, if they can be told.
  values(schema, root = this.root) {
    return this.options(schema, root).flatMap((option) => {
      if (option.enum) return option.enum;
      if ("const" in option) return [option.const];
      return option.type === "boolean" ? [true, false] : [];
    });
  }
}
