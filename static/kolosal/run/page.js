// The page of a run. The server makes all of it; this keeps it up to date while the run goes on, and without this script
// it is a page like any other.

import * as clock from "./clock.js";
import { listen } from "./forms.js";
import { Parts } from "./parts.js";
import { Stream } from "./stream.js";
import { Texts } from "./texts.js";

const REST = 5000; // milliseconds after which what a run waits for is read again where nothing has happened

const page = document.getElementById("run");
const state = () => document.getElementById("run-state").dataset;
const follows = () => "follow" in state();
const texts = new Texts();
const parts = new Parts(page, renewed);
const stream = new Stream(page.dataset.stream, {
  begin() {
    note("");
    texts.clear();
  },
  event(type, path) {
    if (type === "step_start" || type === "step_retry") texts.forget(path);
    parts.ask(parts.live);
  },
  token: (path, token) => texts.add(path, token),
  lost: () => note("The connection is lost; reconnecting …"),
  end() {
    note("");
    parts.now(parts.live);
  },
});
let renewedAt = performance.now();

function note(text) {
  const place = document.getElementById("run-link");
  place.hidden = !text;
  place.textContent = text;
}

function renewed() {
  renewedAt = performance.now();
  clock.fresh();
  texts.show();
  follow();
}

function follow() {
  if (follows() && !stream.isOpen && !document.hidden) stream.open(state().seq);
}

async function load(fold) {
  const answer = await fetch(fold.dataset.fetch, { credentials: "same-origin" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  fold.querySelector("[data-keep]").replaceChildren(...fresh.body.childNodes);
}

page.addEventListener("toggle", (event) => {
  if (event.target.open && event.target.dataset.fetch) load(event.target);
}, true);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream.close();
  else parts.now(parts.live); // a run that had ended may have been retried meanwhile
});
setInterval(() => {
  if (document.hidden || !follows()) return;
  if (clock.tick(page)) parts.ask(["timeline"]);
  if (performance.now() - renewedAt > REST) parts.ask(page.querySelector("#steps .k-why") ? ["head", "steps"] : ["head"]);
}, 1000);
listen(() => parts.now(parts.live));
clock.fresh();
follow();

function unfold() {
  const step = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (step instanceof HTMLDetailsElement) step.open = true;
}
window.addEventListener("hashchange", unfold);
unfold();
