// Tables of the page that can be sorted by any column; the row of the annotators' ceiling stays last.
"use strict";
(() => {
  const { el } = detoxbench;
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const key = (row, place) => row.cells[place].dataset.sort ?? row.cells[place].textContent.trim();
    headings.forEach((heading, place) => {
      if (!heading.textContent.trim()) return;
      const arrow = el("span", { class: "arrow", "aria-hidden": "true" });
      const sort = () => {
        const down = heading.getAttribute("aria-sort") === "descending";
        const turn = down ? "ascending" : "descending";
        for (const other of headings) { other.removeAttribute("aria-sort"); const sign = other.querySelector(".arrow"); if (sign) sign.textContent = ""; }
        heading.setAttribute("aria-sort", turn);
        arrow.textContent = down ? "▲" : "▼";
        const numbers = [...body.rows].some((row) => row.cells[place].dataset.sort !== undefined);
        const sorted = [...body.rows].sort((a, b) => {
          if (a.classList.contains("ceiling") !== b.classList.contains("ceiling")) return a.classList.contains("ceiling") ? 1 : -1;
          const [x, y] = [key(a, place), key(b, place)];
          if (numbers && (x === "") !== (y === "")) return x === "" ? 1 : -1;  // what has no number is last, either way
          const order = numbers ? Number(x) - Number(y) : x.localeCompare(y);
          return down ? order : -order;
        });
        body.append(...sorted);
      };
      heading.replaceChildren(el("button", { type: "button", onclick: sort }, el("span", {}, ...heading.childNodes), arrow));
    });
  }
  document.body.dataset.ready = "true";
})();
