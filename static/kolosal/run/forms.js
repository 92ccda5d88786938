// Forms of the page: what they do is confirmed in a dialog, sent without leaving the page, and told in its live region.

const told = () => document.getElementById("run-told");

export function tell(text, level = "success", link = "") {
  const note = document.createElement("p");
  note.className = `k-notice is-${level === "error" ? "failed" : level === "warning" ? "warning" : "completed"}`;
  note.textContent = text;
  if (link) {
    const there = document.createElement("a");
    there.className = "k-link";
    there.href = link;
    there.textContent = "Open it";
    note.append(" ", there);
  }
  told().replaceChildren(note);
}

// Resolves to whether a person has said yes.
function confirmed(question, yes) {
  const dialog = document.getElementById("run-confirm");
  document.getElementById("run-confirm-text").textContent = question;
  document.getElementById("run-confirm-yes").textContent = yes || "Yes";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const filled = (text, button) =>
  text.replace("{step}", button?.value ?? "").replace("{answer}", button?.textContent ?? "");

async function send(form, body) {
  const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { "X-Fetched": "1" } });
  const type = answer.headers.get("Content-Type") ?? "";
  if (answer.ok && type.includes("json")) return answer.json();
  if (answer.ok) return { html: await answer.text() };
  const refused = answer.status === 403;
  return { told: refused ? "You may not do that." : `The server answers ${answer.status}.`, level: "error" };
}

// `after()` is called when something was done.
export function listen(after) {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const button = event.submitter;
    if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-told")) return;
    event.preventDefault();
    const { confirm, yes } = form.dataset;
    if (confirm && !(await confirmed(filled(confirm, button), filled(yes ?? "", button)))) return;
    const body = new FormData(form, button); // a button that is disabled does not count
    if (button) button.disabled = true;
    let answer;
    try {
      answer = await send(form, body);
    } catch {
      answer = { told: "The server can't be reached.", level: "error" };
    }
    if (button) button.disabled = false;
    const dialog = form.closest("dialog");
    if (answer.html) return dialog?.replaceChildren(...parsed(answer.html));
    dialog?.close();
    tell(answer.told, answer.level, dialog && answer.place);
    after();
  });

  document.addEventListener("click", async (event) => {
    const confirm = event.target.closest("#run-confirm button");
    if (confirm) return confirm.closest("dialog").close(confirm.value);
    if (event.target.closest("[data-close]")) return event.target.closest("dialog").close();
    const opener = event.target.closest("a[data-dialog]");
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return undefined;
    event.preventDefault();
    const answer = await fetch(opener.href, { headers: { "X-Fetched": "1" } });
    if (!answer.ok) return tell(`The server answers ${answer.status}.`, "error");
    const dialog = document.getElementById(opener.dataset.dialog);
    dialog.replaceChildren(...parsed(await answer.text()));
    return dialog.showModal();
  });
}

const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body.childNodes;
