// How far a batch is, asked for until it has ended.

const EVERY = 1000;

const shown = document.querySelector("[data-batch]");
const bar = shown.querySelector("progress");
const told = shown.querySelector("p");

async function look() {
  const answer = await fetch(shown.dataset.batch, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.ok) {
    const { data } = await answer.json();
    bar.value = data.done + data.failed;
    told.textContent = [`${data.done} done`, `${data.failed} failed`, `${data.pending} pending`].join(", ");
    if (data.ended_at) return;
  }
  setTimeout(look, EVERY);
}

look();
