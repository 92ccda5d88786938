// The YAML view: the text of a definition, with completion, help, and problems at their lines.
import {
  EditorState,
  EditorView,
  drawSelection,
  foldGutter,
  highlightActiveLine,
  highlightSelectionMatches,
  hoverTooltip,
  indentOnInput,
  indentUnit,
  keymap,
  lineNumbers,
  lintGutter,
  lintKeymap,
  searchKeymap,
  setDiagnostics,
  yaml,
} from "../../vendor/codemirror.js";
import { parseDocument } from "../../vendor/yaml.js";
import { common, reachCompletion } from "./codemirror.js";
import { placeAt } from "./place.js";
import { kindOf } from "./schema.js";

const EXPRESSIONS = new Set(["precondition", "validation", "result_processor", "if", "switch", "for_each", "while"]);

const at = (value, path) => path.reduce((found, key) => found?.[key], value);

// The path to the step that the place stands in, or to nothing.
const stepOf = (path) => {
  const end = path.findLastIndex((part) => typeof part === "number");
  return path[0] === "steps" && end > 0 ? path.slice(0, end + 1) : [];
};

export class YamlView {
  static view = "yaml";

  constructor({ section, textarea, schemas, changed, reach }) {
    Object.assign(this, { section, textarea, schemas, changed, reach });
    this.definition = null; // as it was last read
    textarea.hidden = true;
  }

  open({ text, definition }) {
    this.definition = definition;
    this.editor?.destroy();
    this.editor = new EditorView({
      parent: this.section,
      state: EditorState.create({ doc: text, extensions: this.#extensions() }),
    });
  }

  focus() {
    this.editor.focus();
  }

  get text() {
    return this.editor.state.doc.toString();
  }

  fields() {
    return { view: "yaml", text: this.text };
  }

  // Take what the server read: its problems, and the definition for completion.
  take({ definition, problems }) {
    if (definition) this.definition = definition;
    const marks = problems.map((problem) => ({ ...this.#span(problem), severity: problem.severity, message: problem.message }));
    this.editor.dispatch(setDiagnostics(this.editor.state, marks));
  }

  // Indent and space the text anew; comments and the order of keys stay. Text that can't be read stays as it is.
  format() {
    const document = parseDocument(this.text, { version: "1.2", schema: "core" });
    if (document.errors.length) return;
    const text = document.toString({ lineWidth: 0, indentSeq: true });
    this.editor.dispatch({ changes: { from: 0, to: this.editor.state.doc.length, insert: text } });
  }

  reveal(problem) {
    const { from } = this.#span(problem);
    this.editor.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.editor.focus();
  }

  #extensions() {
    return [
      lineNumbers(),
      foldGutter(),
      lintGutter(),
      drawSelection(),
      highlightActiveLine(),
      highlightSelectionMatches(),
      indentOnInput(),
      indentUnit.of("  "),
      yaml(),
      hoverTooltip((view, position) => this.#help(position)),
      keymap.of([...searchKeymap, ...lintKeymap]),
      common((context) => this.#complete(context)),
      EditorView.contentAttributes.of({ "aria-label": "The definition as YAML" }),
      EditorView.updateListener.of((update) => update.docChanged && this.changed()),
    ];
  }

  #span({ line, column }) {
    const { doc } = this.editor.state;
    if (!line) return { from: 0, to: 0 };
    const found = doc.line(Math.min(line, doc.lines));
    const from = Math.min(found.from + (column ?? 1) - 1, found.to);
    return { from, to: found.to };
  }

  async #complete(context) {
    const place = placeAt(this.text, context.pos);
    const inText = await reachCompletion(context, () => this.reach(stepOf(place.path)), EXPRESSIONS.has(place.key));
    if (inText) return inText;
    const word = context.matchBefore(/[\w-]*/);
    if (!word.text && !context.explicit && place.key === null) return null;
    const options = place.key === null ? this.#keys(place.path) : this.#values(place);
    return options.length ? { from: word.from, options, validFor: /^[\w-]*$/ } : null;
  }

  #keys(path) {
    const there = at(this.definition, path) ?? {};
    const known = Object.entries(this.schemas.propertiesAt(path, this.definition));
    return known
      .filter(([key]) => !(key in there))
      .map(([key, schema]) => ({ label: key, apply: `${key}: `, type: "property", info: schema.description ?? this.schemas.resolve(schema).description }));
  }

  #values({ path, key }) {
    const { agents, functions, workflows } = this.schemas.palette;
    const step = at(this.definition, path.slice(0, -1)) ?? {};
    if (key === "agent_id") return Object.entries(agents).map(([label, { about }]) => ({ label, detail: about }));
    if (key === "function_name") {
      return (agents[step.agent_id]?.functions ?? Object.keys(functions)).map((label) => ({ label, info: functions[label]?.about }));
    }
    if (key === "workflow") return workflows.map((label) => ({ label }));
    if (path.includes("depends_on")) return [...idsBefore(this.definition, stepOf(path))].map((label) => ({ label }));
    const schema = this.schemas.propertiesAt(path.slice(0, -1), this.definition)[key];
    return schema ? this.schemas.values(schema).map((value) => ({ label: String(value) })) : [];
  }

  #help(position) {
    const line = this.editor.state.doc.lineAt(position);
    const { path, key } = placeAt(this.text, line.to);
    const start = line.text.search(/[^\s-]/);
    if (key === null || position < line.from + start || position > line.from + line.text.indexOf(":")) return null;
    const schema = this.schemas.propertiesAt(path.slice(0, -1), this.definition)[key];
    const told = schema?.description ?? this.schemas.resolve(schema).description;
    const step = at(this.definition, path.slice(0, -1));
    const about = key === "function_name" && kindOf(step) === "function" ? this.schemas.palette.functions[step?.function_name]?.about : "";
    if (!told && !about) return null;
    return {
      pos: line.from + start,
      create() {
        const dom = document.createElement("div");
        dom.className = "k-help";
        dom.textContent = [told, about].filter(Boolean).join(" ");
        return { dom };
      },
    };
  }
}

// Ids of steps that stand before the step at the path, in its list and in those around it.
function* idsBefore(definition, path) {
  for (let end = 1; end < path.length; end += 1) {
    if (typeof path[end] !== "number") continue;
    const list = at(definition, path.slice(0, end));
    yield* (Array.isArray(list) ? list : []).slice(0, path[end]).map((step) => step?.step_id).filter(Boolean);
  }
}
