// The calculator's page: reads the form, asks, shows the answer. All figures and drawings come from the server of this
// page; nothing is computed here.
"use strict";

const form = document.getElementById("fields");
const answer = document.getElementById("answer");
const PAUSE = 250; // milliseconds without a key, before it asks
let waiting = 0;
let asked = 0;
/** What the address has besides the fields of the form. */
let foreign = {};

/** The fields that have a value, by their names. */
function fields() {
  const given = { ...foreign };
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
  foreign = Object.fromEntries([...given].filter(([name]) => !form.elements.namedItem(name)));
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
  document.body.dataset.answered = number;
}

function show(told) {
  const notes = document.getElementById("notes");
  for (const note of form.querySelectorAll(".wrong")) note.textContent = "";
  for (const control of form.elements) control.removeAttribute("aria-invalid");
  const spoken = document.getElementById("spoken");
  // The last figures stay while a field is being written, or while nothing answers, and look like it.
  const stale = Boolean(told.error || told.errors.length);
  document.getElementById("told").classList.toggle("stale", stale);
  spoken.textContent = told.error ?? told.spoken;
  const noted = [...(stale ? [spoken.textContent] : []), ...(told.unknown ?? [])];
  notes.replaceChildren(...noted.map((text) => paragraph(text, "wrong")));
  if (told.error) return;
  for (const { key, message } of told.errors) {
    const control = form.elements.namedItem(key);
    const note = document.getElementById(key + "-wrong");
    if (control) control.setAttribute("aria-invalid", "true");
    if (note) note.textContent = message;
  }
  if (stale) return;
  // Both are made by the server from escaped texts.
  answer.innerHTML = told.html;
  document.getElementById("details").innerHTML = told.details;
  rows("advice", told.advice);
  rows("layouts", told.layouts.choices);
  const layouts = document.getElementById("layouts");
  layouts.querySelector("h3").textContent = told.layouts.heading;
  document.getElementById("layouts-note").textContent = told.layouts.note;
  layouts.hidden = !told.layouts.choices.length && !told.layouts.note;
  // Layouts that are the answer stand before the figures of what is written.
  document.getElementById(told.layouts.leads ? "answer" : "details").before(layouts);
  document.getElementById("take").hidden = !told.annotations;
  for (const name of ["annotations", "command", "manifest"]) document.getElementById(name).value = told[name];
}

function paragraph(text, name) {
  const element = document.createElement("p");
  element.textContent = text;
  element.className = name;
  return element;
}

/** The rows of a table, each with a button that takes its fields over. A column without a text is hidden. */
function rows(name, list) {
  const section = document.getElementById(name);
  section.hidden = !list.length;
  section.querySelector(".scroll").hidden = !list.length;
  const columns = [...section.querySelectorAll("th[data-part]")];
  for (const column of columns) column.hidden = !list.some((item) => item[column.dataset.part]);
  section.querySelector("tbody").replaceChildren(...list.map((item) => {
    const row = document.createElement("tr");
    for (const column of columns.filter((column) => !column.hidden)) {
      const cell = row.insertCell();
      cell.textContent = item[column.dataset.part];
      cell.dataset.label = column.textContent;
      cell.className = column.className;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Use";
    button.setAttribute("aria-label", "Use " + item.words);
    button.addEventListener("click", () => take(item.fields));
    row.insertCell().append(button);
    return row;
  }));
}

/** Puts fields into the form, and goes to the verdict on them. */
async function take(given) {
  for (const [name, text] of Object.entries(given)) {
    const control = form.elements.namedItem(name);
    if (control) control.value = text;
  }
  await calculate();
  answer.focus({ preventScroll: true });
  answer.scrollIntoView();
}

form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(calculate, PAUSE);
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("clear").addEventListener("click", () => {
  for (const control of form.elements) if (control.name) control.value = "";
  foreign = {};
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
