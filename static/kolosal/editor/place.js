// Where in a YAML text something stands, told by its indentation: this works while the text is not valid yet.

const KEY = /^(?:"([^"]*)"|'([^']*)'|([^\s#'"{[][^:#]*?))\s*:(?=\s|$)/;

class Reading {
  stack = []; // { column, key } or { column, index }, outermost first
  skipDeeperThan = null; // the column of a key whose text of several lines is being passed over

  line(text) {
    let column = text.search(/\S/);
    if (column < 0 || (this.skipDeeperThan !== null && column > this.skipDeeperThan)) return null;
    this.skipDeeperThan = null;
    let rest = text.slice(column);
    if (rest.startsWith("#")) return null;
    while (/^-(\s|$)/.test(rest)) {
      this.#item(column);
      const width = /^-\s*/.exec(rest)[0].length;
      column += width;
      rest = rest.slice(width);
    }
    const found = KEY.exec(rest);
    this.#leave(column);
    if (!found) return null;
    const key = found[1] ?? found[2] ?? found[3];
    this.stack.push({ column, key });
    if (/^\s*[|>][-+\d]*\s*$/.test(rest.slice(found[0].length))) this.skipDeeperThan = column;
    return key;
  }

  get path() {
    return this.stack.map((entry) => entry.key ?? entry.index);
  }

  #item(column) {
    while (this.stack.at(-1)?.column > column) this.stack.pop();
    const last = this.stack.at(-1);
    if (last?.column === column && "index" in last) last.index += 1;
    else this.stack.push({ column, index: 0 });
  }

  #leave(column) {
    while (this.stack.at(-1)?.column >= column) this.stack.pop();
  }
}

// `{ path, key }` of the position: `path` leads to the object or text that stands there; `key` is the key whose value
// is being written, null where a key itself is.
export function placeAt(text, position) {
  const reading = new Reading();
  const lines = text.slice(0, position).split("\n");
  const current = lines.pop();
  lines.forEach((line) => reading.line(line));
  if (reading.skipDeeperThan !== null && (!current.trim() || current.search(/\S/) > reading.skipDeeperThan)) {
    return { path: reading.path, key: reading.path.at(-1) ?? null };
  }
  const key = reading.line(current.trim() ? current : `${current}x`);
  return { path: reading.path, key };
}
