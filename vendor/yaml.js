// YAML of small values that a form shows; whole definitions are read by the server.
export { parseDocument, stringify } from "yaml";
