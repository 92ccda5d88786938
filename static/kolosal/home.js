// The first page: its figures are fetched again every ten seconds while it is seen. What has not changed stays as it
// is, and so does what has the focus.
"use strict";

const EVERY = 10000;
let timer;

function put(shown, fresh) {
  const parts = [...shown.querySelectorAll("[id]")];
  const others = [...fresh.querySelectorAll("[id]")];
  if (parts.map((part) => part.id).join() !== others.map((part) => part.id).join()) {
    shown.replaceChildren(...fresh.childNodes);
    return;
  }
  parts.forEach((part, at) => {
    if (part.outerHTML !== others[at].outerHTML && !part.contains(document.activeElement)) part.replaceWith(others[at]);
  });
}

async function refresh() {
  window.clearTimeout(timer);
  const shown = document.getElementById("k-figures");
  if (!document.hidden) {
    try {
      const answer = await fetch(shown.dataset.refresh, { credentials: "same-origin" });
      const text = await answer.text();
      if (answer.ok && !answer.redirected) put(shown, new DOMParser().parseFromString(text, "text/html").body);
    } catch {
      // The server is away: try again later.
    }
  }
  timer = window.setTimeout(refresh, EVERY);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
document.addEventListener("DOMContentLoaded", () => { timer = window.setTimeout(refresh, EVERY); });
