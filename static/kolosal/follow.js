// The page of a run. While it goes on, its head and timeline are fetched again every two seconds; unfolded steps
// stay as they are, and so does a comment that is being written. A link of the timeline unfolds its step.
"use strict";

const INTERVAL = 2000;

async function refresh() {
  const shown = document.querySelector("[data-follow]");
  if (!shown) return;
  const written = [...shown.querySelectorAll("textarea")].some((field) => field.value);
  if (!document.hidden && !written && !shown.contains(document.activeElement)) {
    try {
      const answer = await fetch(window.location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("k-live");
      if (!fresh) return;
      if (!fresh.hasAttribute("data-follow")) {
        window.location.reload();
        return;
      }
      shown.replaceWith(fresh);
    } catch {
      // The server is away: try again later.
    }
  }
  window.setTimeout(refresh, INTERVAL);
}

function unfold() {
  const step = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
  if (step instanceof HTMLDetailsElement) step.open = true;
}

window.addEventListener("hashchange", unfold);
document.addEventListener("DOMContentLoaded", () => {
  unfold();
  window.setTimeout(refresh, INTERVAL);
});
