// What the pages with a board share: the choice of a board, names of rows and metrics, choices and plain tables.
"use strict";
detoxbench.view = (() => {
  const { el, load, plain, isolated, language, state, remember } = detoxbench;

  function options(select, entries, chosen) {
    select.replaceChildren(...entries.map(([value, text]) => el("option", { value, text: plain(text, 120) })));
    if (entries.some(([value]) => String(value) === String(chosen))) select.value = chosen;
  }

  // Fills in the page's board and calls show(board, rows, index) now and whenever another is chosen.
  async function start(show) {
    try {
      const index = await load("index");
      const select = document.getElementById("board");
      if (!index.boards.length) {
        select.closest(".board").replaceChildren(el("p", { class: "note", text: "There are no runs yet." }));
        return;
      }
      options(select, index.boards.map((board) => [board.id, `${board.title} (${board.runs} ${board.runs === 1 ? "run" : "runs"})`]), state.get("board"));
      const change = async () => {
        const board = index.boards.find((found) => found.id === select.value);
        document.getElementById("facts").replaceChildren(...board.facts.map(([name, value]) =>
          el("div", {}, el("dt", { text: name }), el("dd", {}, isolated(value)))));
        if (state.get("board")) remember({ board: board.id });
        detoxbench.judged(board, index);
        const { rows, headline } = await load(`b-${board.id}`);
        await show(board, rows, index, headline);
      };
      select.addEventListener("change", () => { remember({ board: select.value }); change().catch(detoxbench.fail); });
      await change();
      detoxbench.keepBoard();
      document.body.dataset.ready = "true";
    } catch (error) { detoxbench.fail(error); }
  }

  const rowName = (row) => plain(row.variant ? `${row.method} (${row.variant})` : row.method, 120);
  const metricOf = (index, name) => index.metrics.find((metric) => metric.name === name) ??
    { name, display_name: name, higher_is_better: null, unit: "", description: "" };
  const title = (index, name) => {
    const metric = metricOf(index, name);
    const arrow = metric.higher_is_better === null ? "" : metric.higher_is_better ? " ↑" : " ↓";
    return metric.display_name + arrow;
  };
  const scopes = (board) => [["macro", language("macro")], ...board.languages.map((tag) => [tag, language(tag)])];
  const runLink = (row, text) => el("a", { href: `run.html#id=${row.id}` }, isolated(text ?? rowName(row), 120));

  // Headings and rows of strings, numbers or elements into a table of the page.
  function fill(table, headings, rows) {
    table.tHead.replaceChildren(el("tr", {}, ...headings.map((heading, place) =>
      el("th", { scope: "col", class: place ? "number" : false }, heading))));
    table.tBodies[0].replaceChildren(...rows.map((cells) => el("tr", {}, ...cells.map((cell, place) =>
      (place ? el("td", { class: "number" }, cell) : el("th", { scope: "row" }, cell))))));
  }
  return { options, start, rowName, metricOf, title, scopes, runLink, fill };
})();
