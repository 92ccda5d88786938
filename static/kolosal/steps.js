// The steps of the workflow editor: add, remove, move, and what the chosen function takes. Without it the form
// still works: positions are numbers, and "Remove this step" is a box to tick.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const editor = document.querySelector("[data-editor]");
  if (!editor) return;
  const list = editor.querySelector("[data-steps]");
  const total = editor.querySelector("[name=steps-TOTAL_FORMS]");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const functions = read("k-functions");
  const offers = read("k-offers");

  const input = (step, name) => step.querySelector(`[name$="-${name}"]`);
  const shown = () => [...list.querySelectorAll("[data-step]")].filter((step) => !step.hidden);

  function number() {
    shown().forEach((step, index) => {
      step.querySelector("[data-number]").textContent = index + 1;
      input(step, "position").value = index + 1;
    });
  }

  function cell(row, text) {
    row.insertCell().textContent = text;
  }

  function describe(step) {
    const about = step.querySelector("[data-about]");
    const known = functions[input(step, "function_name").value];
    about.replaceChildren();
    if (!known) return;
    const text = document.createElement("p");
    text.textContent = known.about;
    const table = document.createElement("table");
    table.className = "k-events";
    for (const parameter of known.parameters) {
      const row = table.insertRow();
      parameter.forEach((part) => cell(row, part));
    }
    about.append(text, table);
  }

  function narrow(step) {
    // Functions that the agent does not offer are hidden, not taken away: the checks decide.
    const offered = offers[input(step, "agent_id").value];
    for (const option of input(step, "function_name").options) {
      option.hidden = Boolean(offered && option.value && !offered.includes(option.value));
    }
  }

  function entitle(step) {
    step.querySelector("[data-title]").textContent = input(step, "step_id").value || "New step";
    const parts = [step.dataset.block, input(step, "agent_id").value, input(step, "function_name").value];
    step.querySelector("[data-subtitle]").textContent = parts.filter(Boolean).join(" · ");
  }

  function begin(step) {
    narrow(step);
    describe(step);
  }

  function add() {
    const template = editor.querySelector("[data-step-template]");
    const holder = document.createElement("template");
    holder.innerHTML = template.innerHTML.replaceAll("__prefix__", total.value);
    total.value = Number(total.value) + 1;
    const step = holder.content.firstElementChild;
    list.append(step);
    begin(step);
    number();
    input(step, "step_id").focus();
  }

  function move(step, by) {
    const steps = shown();
    const other = steps[steps.indexOf(step) + by];
    if (!other) return;
    if (by < 0) other.before(step);
    else other.after(step);
    number();
  }

  function remove(step) {
    input(step, "remove").checked = true;
    step.hidden = true;
    number();
  }

  editor.addEventListener("click", (event) => {
    const button = event.target.closest("button[type=button]");
    if (!button) return;
    event.preventDefault();
    const step = button.closest("[data-step]");
    if ("add" in button.dataset) add();
    else if ("remove" in button.dataset) remove(step);
    else if (button.dataset.move) {
      move(step, Number(button.dataset.move));
      button.focus();
    }
  });
  editor.addEventListener("change", (event) => {
    const step = event.target.closest("[data-step]");
    if (!step) return;
    entitle(step);
    begin(step);
  });

  editor.classList.add("has-script");
  const byPosition = (step) => Number(input(step, "position").value) || Infinity;
  list.append(...[...list.children].sort((a, b) => byPosition(a) - byPosition(b)));
  for (const step of list.children) {
    if (input(step, "remove").checked) step.hidden = true;
    begin(step);
  }
  number();
});
