// What happens in the run, as server-sent events: the browser comes again by itself where the connection was lost, with
// the number of the last event. While the page is not looked at, the connection is given back.

export class Stream {
  #address;
  #told;
  #source = null;

  // told: { event(type, path), token(path, text), begin(), lost(), end() }
  constructor(address, told) {
    this.#address = address;
    this.#told = told;
  }

  get isOpen() {
    return this.#source !== null;
  }

  open(after) {
    this.close();
    const source = (this.#source = new EventSource(`${this.#address}?after=${after}`));
    source.onopen = () => this.#told.begin();
    source.onmessage = (message) => this.#heard(JSON.parse(message.data));
    source.onerror = () => {
      if (source !== this.#source) return;
      if (source.readyState !== EventSource.CLOSED) return this.#told.lost();
      this.close(); // refused, or nothing is left to tell
      this.#told.end();
    };
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }

  #heard(said) {
    if (said.type === "llm_token") return this.#told.token(said.path, said.token);
    if (said.type === "error") return this.#told.lost();
    if (said.type === "workflow_complete") {
      this.close();
      return this.#told.end();
    }
    this.#told.event(said.type, said.path);
  }
}
