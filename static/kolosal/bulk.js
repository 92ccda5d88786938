// Cancels or retries all runs of a list, a piece at a time, and shows how far it is and what was refused.

const SHOWN = 100; // refusals

const form = document.querySelector("[data-bulk]");
const told = form.querySelector("[data-told]");
const bar = form.querySelector("[data-bar]");
const refusals = form.querySelector("[data-refused]");

async function piece(verb, before) {
  const body = new URLSearchParams({ verb, before, csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
  const answer = await fetch(form.dataset.address, { method: "POST", body });
  if (!answer.ok || answer.redirected) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

function refuse({ run, why }) {
  if (refusals.children.length >= SHOWN) return;
  const item = document.createElement("li");
  item.className = "k-small";
  item.textContent = `${run}: ${why}`;
  refusals.append(item);
}

async function all(verb, count) {
  let done = 0;
  let refused = 0;
  let next = "";
  bar.max = count;
  bar.hidden = false;
  while (next !== null) {
    const found = await piece(verb, next);
    done += found.done;
    refused += found.refused.length;
    found.refused.forEach(refuse);
    bar.value = done + refused;
    told.textContent = `${done} done, ${refused} refused …`;
    ({ next } = found);
  }
  told.textContent = `${done} done, ${refused} refused. That was all.`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (!window.confirm(`${button.textContent.trim()}?`)) return;
  for (const each of form.querySelectorAll("button")) each.disabled = true;
  refusals.replaceChildren();
  try {
    await all(button.value, Number(button.dataset.count));
  } catch (error) {
    told.textContent = `It stopped: ${error.message}. What is done stays done; load the page again for the rest.`;
  }
});
