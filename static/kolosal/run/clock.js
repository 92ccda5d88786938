// What moves with time alone: moments that come nearer or pass, and the bars of what is under way.

const NARROWEST = 0.35; // per cent

let rendered = performance.now();
let ahead = 0; // seconds that the server's clock is ahead of ours

export function fresh(page) {
  rendered = performance.now();
  const now = page.querySelector("#run-state")?.dataset.now;
  if (now) ahead = Number(now) - Date.now() / 1000;
}

// Whether the timeline has no room left.
export function tick(page) {
  const now = Date.now() / 1000 + ahead;
  for (const moment of page.querySelectorAll("time[data-counts]")) {
    moment.textContent = span(Math.abs(Date.parse(moment.dateTime) / 1000 - now));
  }
  return grow(page.querySelector("#timeline[data-grows]"));
}

function grow(timeline) {
  if (!timeline) return false;
  const passed = Number(timeline.dataset.passed) + performance.now() - rendered;
  const share = (100 * passed) / Number(timeline.dataset.span);
  for (const bar of timeline.querySelectorAll("rect[data-x]")) {
    const x = Number(bar.dataset.x);
    bar.setAttribute("width", `${Math.min(100 - x, Math.max(NARROWEST, share - x)).toFixed(3)}%`);
  }
  return share > 100;
}

// As `why.py` says it.
export function span(length) {
  const seconds = Math.max(0, Math.round(length));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
