// How CodeMirror looks and behaves in all fields of the editor.
import {
  EditorView,
  HighlightStyle,
  autocompletion,
  completionKeymap,
  defaultKeymap,
  history,
  historyKeymap,
  keymap,
  syntaxHighlighting,
  tags,
  yaml,
} from "../../vendor/codemirror.js";

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], class: "k-token-key" },
  { tag: [tags.string, tags.content], class: "k-token-text" },
  { tag: [tags.comment, tags.lineComment], class: "k-token-comment" },
  { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], class: "k-token-mark" },
]);

// `complete`: asynchronous, of CodeMirror's completion context.
export const common = (complete) => [
  history(),
  syntaxHighlighting(colours),
  EditorView.lineWrapping,
  autocompletion({ override: [complete], activateOnTyping: true, icons: false }),
  keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap]),
];

// A small field: plain text, or YAML of a structure. Tab leaves it.
export function field({ text, label, structure, complete, changed, readOnly = false }) {
  return new EditorView({
    doc: text,
    extensions: [
      common(complete),
      structure ? yaml() : [],
      EditorView.editable.of(!readOnly),
      EditorView.contentAttributes.of({ "aria-label": label, class: "k-field-text" }),
      EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
    ],
  });
}

// Completion inside `${…}`, or of a whole expression: names that are in reach.
export async function reachCompletion(context, reach, whole) {
  const line = context.state.doc.lineAt(context.pos);
  const before = context.state.sliceDoc(Math.max(line.from, context.pos - 500), context.pos);
  const open = before.lastIndexOf("${");
  if (!whole && (open < 0 || before.indexOf("}", open) >= 0)) return null;
  const word = /[\w.]*$/.exec(before)[0];
  if (whole && !word && !context.explicit) return null;
  const names = await reach();
  return {
    from: context.pos - word.length,
    options: names.map((name) => ({ label: name, type: "variable" })),
    validFor: /^[\w.]*$/,
  };
}
