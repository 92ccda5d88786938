// What moves with time alone: the bars of what is under way.

const NARROWEST = 0.35; // per cent

let rendered = performance.now();

export function fresh() {
  rendered = performance.now();
}

// Let the bars grow. Returns whether the timeline has no room left.
export function tick(page) {
  const timeline = page.querySelector("#timeline[data-grows]");
  if (!timeline) return false;
  const passed = Number(timeline.dataset.passed) + performance.now() - rendered;
  const share = (100 * passed) / Number(timeline.dataset.span);
  for (const bar of timeline.querySelectorAll("rect[data-x]")) {
    const x = Number(bar.dataset.x);
    bar.setAttribute("width", `${Math.min(100 - x, Math.max(NARROWEST, share - x)).toFixed(3)}%`);
  }
  return share > 100;
}
