// The calculator's page: reads the form, asks, shows the answer. All figures and drawings come from the server of this
// page; nothing is computed here.
"use strict";

const form = document.getElementById("fields");
const answer = document.getElementById("answer");
const PAUSE = 250; // milliseconds without a key, before it asks
let waiting = 0;
let asked = 0;

/** The fields that have a value, by their names. */
function fields() {
  const given = {};
  for (const control of form.elements) {
    const text = control.name ? control.value.trim() : "";
    if (text) given[control.name] = text;
  }
  return given;
}

/** Puts the fields of the address into the form. */
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const control of form.elements) {
    if (control.name) control.value = given.get(control.name) ?? "";
  }
  const others = document.getElementById("others");
  others.open = others.open || [...others.querySelectorAll("[name]")].some((control) => control.value);
}

function toAddress(given) {
  const text = new URLSearchParams(given).toString();
  history.replaceState(null, "", text ? "#" + text : location.pathname);
}

/** Asks for the answer. An answer that a later question has overtaken is dropped. */
async function calculate() {
  const given = fields();
  toAddress(given);
  const number = ++asked;
  answer.classList.add("waiting");
  const { days = "", ...others } = given;
  let told;
  try {
    const response = await fetch("v1/calculate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ fields: others, days }),
    });
    told = await response.json();
  } catch {
    told = { error: "the program behind this page does not answer: start it again, or ask its administrator" };
  }
  if (number !== asked) return;
  answer.classList.remove("waiting");
  show(told);
}

function show(told) {
  for (const note of form.querySelectorAll(".wrong")) note.textContent = "";
  for (const control of form.elements) control.removeAttribute("aria-invalid");
  const spoken = document.getElementById("spoken");
  if (told.error) {
    spoken.textContent = told.error;
    answer.replaceChildren(paragraph(told.error, "wrong"));
    return;
  }
  for (const { key, message } of told.errors) {
    const control = form.elements.namedItem(key);
    const note = document.getElementById(key + "-wrong");
    if (control) control.setAttribute("aria-invalid", "true");
    if (note) note.textContent = message;
  }
  spoken.textContent = told.spoken;
  // The last figures stay while a field is being written.
  if (told.errors.length) {
    document.body.dataset.answered = asked;
    return;
  }
  // Both are made by the server from escaped texts.
  answer.innerHTML = told.html;
  document.getElementById("details").innerHTML = told.details;
  rows("advice", told.advice, (change) => [change.change, change.needs, change.days]);
  rows("layouts", told.layouts, (layout) => [layout.gpus, layout.words, layout.needs, layout.days, layout.cost]);
  document.getElementById("layouts-note").textContent = told.layouts_note;
  document.getElementById("layouts").hidden = !told.layouts.length && !told.layouts_note;
  document.getElementById("take").hidden = !told.annotations;
  for (const name of ["annotations", "command", "manifest"]) document.getElementById(name).value = told[name];
  document.body.dataset.answered = asked;
}

function paragraph(text, name) {
  const element = document.createElement("p");
  element.textContent = text;
  element.className = name;
  return element;
}

/** The rows of a table, each with a button that takes its fields over. */
function rows(name, list, cells) {
  const section = document.getElementById(name);
  section.hidden = !list.length;
  section.querySelector("tbody").replaceChildren(...list.map((item) => {
    const row = document.createElement("tr");
    for (const text of cells(item)) row.insertCell().textContent = text ?? "";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Use";
    button.setAttribute("aria-label", "Use " + (item.change ?? item.words));
    button.addEventListener("click", () => take(item.fields));
    row.insertCell().append(button);
    return row;
  }));
}

function take(given) {
  for (const [name, text] of Object.entries(given)) {
    const control = form.elements.namedItem(name);
    if (control) control.value = text;
  }
  calculate();
}

form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(calculate, PAUSE);
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("clear").addEventListener("click", () => {
  for (const control of form.elements) if (control.name) control.value = "";
  calculate();
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const area = document.getElementById(button.dataset.copy);
    area.select();
    await navigator.clipboard?.writeText(area.value).catch(() => {});
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
window.addEventListener("hashchange", () => { fromAddress(); calculate(); });
fromAddress();
calculate();
