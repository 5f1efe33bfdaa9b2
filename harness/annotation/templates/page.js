"use strict";
// Everything that a rater did is one list of steps; what has been answered, and what comes next, follows from it.
// Texts are put in as text, never as HTML.
const study = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const place = `detoxbench-annotate-${study.study}`;
let state = { rater: "", steps: [] };

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(place));
    if (found && typeof found.rater === "string" && Array.isArray(found.steps)) state = found;
    return true;
  } catch {
    return false;
  }
}

function store() {
  try {
    localStorage.setItem(place, JSON.stringify(state));
  } catch {
    at("storage").hidden = false;
  }
}

// id -> question -> answer; a skipped text has {skipped: true}.
function answers() {
  const found = {};
  for (const [id, question, answer] of state.steps) {
    found[id] ??= {};
    if (question === null) found[id] = { skipped: true };
    else found[id][question] = answer;
  }
  return found;
}

const finished = (given) => Boolean(given) && (given.skipped || study.questions.every((one) => one.name in given));

function make(tag, attributes, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

function current() {
  const given = answers();
  const item = study.items.find((one) => !finished(given[one.id]));
  const own = item ? (given[item.id] ?? {}) : {};
  const question = item && study.questions.find((one) => !(one.name in own));
  return { item, question, own, done: study.items.filter((one) => finished(given[one.id])).length };
}

function show() {
  const { item, question, own, done } = current();
  at("start").hidden = true;
  at("rating").hidden = !item;
  at("end").hidden = Boolean(item);
  at("bar").value = done;
  at("count").textContent = `${done} of ${study.items.length}`;
  at("undo").disabled = !state.steps.length;
  if (!item) {
    const skipped = Object.values(answers()).filter((one) => one.skipped).length;
    at("total").textContent = `All ${done} are done` + (skipped ? `, ${skipped} of them skipped.` : ".");
    at("export").focus();
    return;
  }
  at("prompt").textContent = item.prompt;
  at("prompt").lang = item.lang;
  at("texts").replaceChildren(
    ...item.texts.map((text, side) => {
      const title = item.texts.length > 1 ? ["The first", "The second"][side] : "The continuation";
      const quote = make("blockquote", { dir: "auto", lang: item.lang }, text);
      return make("section", { class: "text" }, make("h2", {}, title), quote);
    }),
  );
  at("questions").replaceChildren(...study.questions.map((one) => ask(item, one, own[one.name], one === question)));
}

function ask(item, question, given, now) {
  const buttons = question.answers.map((words, index) => {
    const pressed = given === index + 1;
    const button = make("button", { "aria-pressed": pressed }, make("b", {}, String(index + 1)), make("span", {}, words));
    button.disabled = !now;
    button.addEventListener("click", () => answer(index + 1));
    return button;
  });
  return make(
    "fieldset",
    { class: now ? "now" : "", "data-question": question.name },
    make("legend", {}, question.text),
    make("div", { class: "answers" }, ...buttons),
  );
}

function step(id, question, value, words) {
  state.steps.push([id, question, value]);
  store();
  at("said").textContent = words;
  show();
}

function answer(value) {
  const { item, question } = current();
  if (item && value <= question.answers.length) {
    step(item.id, question.name, value, `${question.answers[value - 1]}.`);
  }
}

function skip() {
  const { item } = current();
  if (item) step(item.id, null, null, "Skipped.");
}

function undo() {
  if (!state.steps.length) return;
  state.steps.pop();
  store();
  at("said").textContent = "Undone.";
  show();
}

function save() {
  const content = { kind: study.kind, schema_version: study.schema_version, study: study.study, rater: state.rater, answers: answers() };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
  const name = state.rater.replace(/[^\p{L}\p{N}_-]+/gu, "_") || "rater";
  const link = make("a", { href: url, download: `ratings-${name}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function begin() {
  state.rater = at("rater").value.trim();
  if (!state.rater) return;
  store();
  show();
}

if (!stored()) at("storage").hidden = false;
at("rater").value = state.rater;
at("begin").disabled = !state.rater;
at("begin").textContent = state.steps.length ? "Go on" : "Begin";
at("start").hidden = false;
at("rater").addEventListener("input", () => { at("begin").disabled = !at("rater").value.trim(); });
at("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
at("begin").addEventListener("click", begin);
at("skip").addEventListener("click", skip);
for (const id of ["undo", "back"]) at(id).addEventListener("click", undo);
for (const id of ["save", "export"]) at(id).addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (!at("start").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (/^[1-9]$/.test(event.key)) answer(Number(event.key));
  else if (event.key === "s") skip();
  else if (event.key === "u") undo();
  else return;
  event.preventDefault();
});
