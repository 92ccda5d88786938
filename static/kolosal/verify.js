// The page Verify: asks for one piece after the other, and shows how far it is and what is broken.
"use strict";

const MOST = 200; // findings that are shown

function element(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function finding(broken) {
  const made = document.createElement("div");
  const where = broken.run ? `Run ${broken.run} ` : "";
  made.append(element("h3", broken.rule), element("p", `${where}${broken.what}.`), element("p", broken.remedy, "k-quiet"));
  if (broken.address) {
    const link = element("a", "Its events", "k-link");
    link.href = broken.address;
    made.append(link);
  }
  return made;
}

class Verification {
  constructor(card) {
    this.card = card;
    this.told = document.getElementById("k-verify-told");
    this.list = document.getElementById("k-verify-broken");
    this.bar = card.querySelector("progress");
    this.runs = this.events = this.broken = 0;
  }

  async run() {
    this.list.hidden = true;
    this.list.replaceChildren(element("h2", "What is broken"));
    let place = JSON.parse(document.getElementById("k-verify-begin").textContent);
    try {
      while (place) place = await this.piece(place);
      this.end();
    } catch (error) {
      this.say(`It stopped: ${error.message}. Nothing is known of the rest; begin again.`, "is-warning");
    }
  }

  async piece(place) {
    const answer = await fetch(`${this.card.dataset.address}?${new URLSearchParams(place)}`, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) throw new Error(`the server answered ${answer.status}`);
    const done = await answer.json();
    this.runs += done.runs;
    this.events += done.events;
    this.show(done.broken);
    this.bar.value = this.runs + this.events;
    this.say(`${this.counted()} read …`);
    return done.next;
  }

  show(found) {
    for (const broken of found.slice(0, Math.max(0, MOST - this.broken))) this.list.append(finding(broken));
    this.broken += found.length;
    this.list.hidden = this.broken === 0;
  }

  end() {
    this.bar.value = this.bar.max;
    if (this.broken) this.say(`${this.counted()} read. Faults found: ${this.broken}.`, "is-failed");
    else this.say(`${this.counted()} read: every chain holds.`, "is-completed");
  }

  counted() {
    return `${this.runs.toLocaleString("en")} runs and ${this.events.toLocaleString("en")} events of the site`;
  }

  say(text, kind = "") {
    this.told.textContent = text;
    this.told.className = kind ? `k-notice ${kind}` : "k-quiet";
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("k-verify-start");
  button.addEventListener("click", async () => {
    button.disabled = true;
    await new Verification(document.getElementById("k-verify")).run();
    button.disabled = false;
  });
});
