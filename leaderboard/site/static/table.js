// The table of runs: TanStack Table keeps the state (sort, filters, columns, page), this draws it.
"use strict";
detoxbench.table = (() => {
  const { el, number, interval, UNBOUNDED, isolated, language } = detoxbench;
  const WIDTH = 104, HEIGHT = 12, PAD = 5;

  // The interval on the column's scale, with the base's value as a faint line.
  function whisker([value, low, high], [least, most], reference) {
    const at = (x) => (PAD + ((x - least) / (most - least || 1)) * (WIDTH - 2 * PAD)).toFixed(1);
    const middle = HEIGHT / 2;
    const svg = el("svg", { class: "whisker", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" });
    svg.append(el("line", { class: "rail", x1: 0, x2: WIDTH, y1: middle, y2: middle }));
    if (reference !== null && reference !== undefined) {
      svg.append(el("line", { class: "base", x1: at(reference), x2: at(reference), y1: 0, y2: HEIGHT }));
    }
    if (low !== null && high !== null) svg.append(el("line", { class: "reach", x1: at(low), x2: at(high), y1: middle, y2: middle }));
    svg.append(el("circle", { class: "dot", cx: at(value), cy: middle, r: 4.2 }));
    return svg;
  }

  // `why` it has no interval is said beside it, by pointer, focus or touch.
  function estimateCell(estimate, domain, reference, digits, why) {
    if (!estimate) return el("span", { class: "none", text: "–" });
    const text = interval(estimate, digits), space = text.indexOf(" "), beside = text.slice(space);
    const reason = why && beside.includes(UNBOUNDED) ? { "data-tip": `No interval: ${why}`, tabindex: 0, role: "note", "aria-label": `no interval: ${why}` } : {};
    return el("div", { class: "estimate" },
      el("span", {}, el("b", { text: text.slice(0, space) }), el("small", { ...reason, text: beside })),
      whisker(estimate, domain, reference));
  }

  // Sorting leaves rows without a value at the end, whatever the direction.
  const byValue = (a, b, id) => {
    const [x, y] = [a.getValue(id), b.getValue(id)];
    return x === y ? 0 : x < y ? -1 : 1;
  };

  function create({ rows, columns, state, changed }) {
    const { createTable, getCoreRowModel, getSortedRowModel, getFilteredRowModel, getPaginationRowModel } = TableCore;
    const table = createTable({
      data: rows, columns, state: {}, onStateChange: () => {}, renderFallbackValue: null,
      getCoreRowModel: getCoreRowModel(), getSortedRowModel: getSortedRowModel(),
      getFilteredRowModel: getFilteredRowModel(), getPaginationRowModel: getPaginationRowModel(),
      globalFilterFn: (row, _, wanted) => row.original.search.includes(String(wanted).toLowerCase()),
      getColumnCanGlobalFilter: (column) => column.id === "name",
      autoResetPageIndex: false, enableMultiSort: false, enableSortingRemoval: false,
    });
    let current = { ...table.initialState, ...state };
    const apply = () => table.setOptions((before) => ({ ...before, state: current }));
    table.setOptions((before) => ({
      ...before,
      onStateChange: (update) => {
        current = typeof update === "function" ? update(current) : update;
        apply();
        changed(table);
      },
    }));
    apply();
    return table;
  }

  function draw(table, element) {
    const focused = document.activeElement?.dataset?.column;
    element.tHead.replaceChildren(el("tr", {}, ...table.getHeaderGroups()[0].headers.map(heading)));
    if (focused) element.tHead.querySelector(`button[data-column="${CSS.escape(focused)}"]`)?.focus();
    const page = table.getRowModel().rows;
    element.tBodies[0].replaceChildren(...page.map((row) => el("tr", { class: row.original.marked ? "is-base" : false },
      ...row.getVisibleCells().map((cell) => {
        const meta = cell.column.columnDef.meta;
        return el(meta.head ? "th" : "td", { scope: meta.head ? "row" : false, class: meta.class }, meta.show(row.original));
      }))));
  }

  function heading({ column }) {
    const { meta } = column.columnDef;
    // The order within a tie is not shown as sorted.
    const sorted = column.getSortIndex() === 0 && column.getIsSorted();
    const attributes = { scope: "col", class: meta.class, "aria-sort": sorted ? (sorted === "asc" ? "ascending" : "descending") : false };
    if (!column.getCanSort()) return el("th", attributes, meta.title);
    return el("th", attributes, el("button", { type: "button", "data-column": column.id, "data-tip": meta.hint ?? false,
      onclick: () => column.toggleSorting(sorted ? sorted === "asc" : meta.descending ?? false) },
    el("span", {}, meta.title, meta.scope ? el("small", { text: language(meta.scope) }) : null),
    el("span", { class: "arrow", "aria-hidden": "true", text: sorted ? (sorted === "asc" ? "▲" : "▼") : "" })));
  }

  return { create, draw, estimateCell, byValue, number, isolated };
})();
