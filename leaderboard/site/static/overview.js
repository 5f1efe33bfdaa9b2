// The overview: what the board found, and its runs in a table.
"use strict";
(() => {
  const { el, plain, isolated, places, language, state, remember, view } = detoxbench;
  const { create, draw, estimateCell, byValue } = detoxbench.table;
  const PAGE = 50;
  const byId = (id) => document.getElementById(id);
  const element = byId("table");
  let board, rows, index, table, languages, metrics;

  function opening(words) {
    byId("only-mini").hidden = !words.warning;
    byId("only-mini").querySelector("span").textContent = words.warning;
    byId("eyebrow").replaceChildren("Detoxification leaderboard · ", isolated(board.title));
    byId("finding").textContent = words.title;
    byId("lead").textContent = words.lead;
    detoxbench.thumbnail(byId("thumbnail"), byId("thumbnail-caption"), rows, index);
  }

  // -- columns ---------------------------------------------------------------------------------------------------
  const FILTERS = ["model", "method", "family", "size", "licence"];
  const valueOf = (row, metric, scope) => (scope === "macro" ? row.macro[metric] : row.by?.[metric]?.[scope]) ?? null;

  const whyOf = (row, metric, scope) => (scope === "macro" ? row.reasons[metric] : row.why?.[metric]?.[scope]);

  function domain(metric, scope) {
    let [least, most] = [Infinity, -Infinity];
    for (const row of rows) {
      const estimate = valueOf(row, metric, scope);
      for (const value of estimate ?? []) if (value !== null) { least = Math.min(least, value); most = Math.max(most, value); }
    }
    return [least, most];
  }

  function rankScope() { return languages.length === 1 ? languages[0] : "macro"; }
  const rankOf = (row) => (rankScope() === "macro" ? row.rank : row.ranks?.[rankScope()]) ?? null;

  function columns() {
    const ties = new Map();
    for (const row of rows) ties.set(rankOf(row), (ties.get(rankOf(row)) ?? 0) + 1);
    const fixed = [
      // Within a tie by value, however one came to this order.
      { id: "rank", accessorFn: (row) => rankOf(row) ?? undefined, sortUndefined: "last",
        sortingFn: (a, b) => rankOf(a.original) - rankOf(b.original) || (valueOf(a.original, index.primary, rankScope())?.[0] ?? 0) - (valueOf(b.original, index.primary, rankScope())?.[0] ?? 0),
        meta: { title: "Rank", class: "rank", show: (row) => rankCell(row, ties) } },
      { id: "name", accessorFn: (row) => row.title, sortingFn: "text",
        meta: { title: "Method", class: "name", head: true, show: nameCell } },
    ];
    const filters = FILTERS.map((id) => ({ id, accessorFn: (row) => row[id], filterFn: "equalsString", enableSorting: false, meta: { title: id, class: "", show: () => "" } }));
    const hidden = [
      { id: "since", accessorFn: (row) => row.date, filterFn: (row, id, least) => row.original.date >= least, enableSorting: false, meta: { title: "since", class: "", show: () => "" } },
      { id: "covers", accessorFn: (row) => row.missing, filterFn: (row, id, tag) => !row.original.missing.includes(tag), enableSorting: false, meta: { title: "covers", class: "", show: () => "" } },
    ];
    const last = [
      { id: "prompts", accessorFn: (row) => row.prompts, sortingFn: "basic",
        meta: { title: "Prompts × K", class: "count", hint: "Prompts over all languages, and continuations of each", descending: true, show: countCell } },
      { id: "date", accessorFn: (row) => row.date, sortingFn: "basic",
        meta: { title: "Date", class: "count", hint: "When it was measured; newest first", descending: true, show: (row) => row.date || "–" } },
    ];
    const measured = metrics.flatMap((metric) => languages.map((scope) => {
      const range = domain(metric, scope);
      const digits = places(rows.map((row) => valueOf(row, metric, scope)?.[0]));
      const { higher_is_better: higher, description } = view.metricOf(index, metric);
      return {
        id: `${metric}.${scope}`, accessorFn: (row) => valueOf(row, metric, scope)?.[0] ?? undefined,
        sortUndefined: "last", sortingFn: byValue,
        meta: { title: view.title(index, metric), scope: languages.length === 1 && scope === "macro" ? null : scope, class: "metric", hint: description, descending: higher === true,
          show: (row) => estimateCell(valueOf(row, metric, scope), range, row.base === null ? null : valueOf(rows[row.base], metric, scope)?.[0], digits, whyOf(row, metric, scope)) },
      };
    }));
    return [...fixed, ...filters, ...hidden, ...measured, ...last];
  }

  function countCell(row) {
    const text = `${row.prompts.toLocaleString("en")} × ${board.samples}`;
    return row.limited.length ? el("span", {}, text, " ", el("span", { class: "flag", text: "limited" })) : text;
  }

  // A word beside a name; what it means comes by pointer, focus or touch.
  const flag = (text, tip, good = false) => el("span", { class: good ? "flag good" : "flag", "data-tip": tip, tabindex: 0, role: "note", "aria-label": `${text}: ${tip}`, text });

  function whyNot(row) {
    if (row.judge) return "the scorer is its own teacher, or the model itself: not ranked";
    if (row.limited.length) return "cut short with --limit: shown, not ranked";
    if (row.uncovered.length) return `another share of empty or unscored continuations than its base in ${row.uncovered.map(language).join(", ")}: not ranked`;
    if (row.missing.length) return `not on all prompts of ${row.missing.map(language).join(", ")}: not ranked`;
    return "needs --log_samples to be ranked";
  }

  function rankCell(row, ties) {
    const rank = rankOf(row);
    if (rank === null) {
      const why = whyNot(row);
      return el("span", { class: "none", "data-tip": why, tabindex: 0, role: "note", "aria-label": why }, "–");
    }
    const shared = ties.get(rank) > 1;
    return el("span", { class: rank === 1 ? "first" : false }, String(rank),
      shared ? el("span", { class: "tie", "data-tip": `shared by ${ties.get(rank)} runs` }, el("span", { "aria-hidden": "true", text: "=" }), el("span", { class: "visually-hidden", text: ", shared" })) : null);
  }

  function nameCell(row) {
    const notes = [row.judge ? flag("self-judged", "The method learned from the scorer that judges it, or the model is its own judge") : null,
      row.front ? flag("Pareto", "No other ranked run is surely better in toxicity, fluency, diversity or language and surely worse in none", true) : null,
      row.uncovered.length ? flag("coverage", `Another share of empty or unscored continuations than its base in ${row.uncovered.map(language).join(", ")}`) : null,
      row.nucleus ? flag("nucleus", `Part of what changes may be the nucleus: ${row.nucleus}`) : null,
      row.overlaps.length ? flag("shared data", row.overlaps.join("; ")) : null,
      row.missing.length && !row.limited.length ? flag(`${board.languages.length - row.missing.length} of ${board.languages.length} languages`, `Not on all prompts of ${row.missing.map(language).join(", ")}`) : null];
    const page = index.pages.model[row.model];
    return el("div", {}, el("a", { href: `run.html#id=${row.id}` }, isolated(row.method, 60)), ...notes.filter(Boolean).flatMap((note) => [" ", note]),
      el("small", {}, page ? el("a", { href: encodeURIComponent(page) }, isolated(row.model, 60)) : isolated(row.model, 60), row.variant ? " · " : null, row.variant ? isolated(row.variant, 60) : null));
  }

  // -- state -----------------------------------------------------------------------------------------------------
  const listed = (name, allowed, otherwise) => {
    const asked = (state.get(name) ?? "").split(",").filter((entry) => allowed.includes(entry));
    return asked.length ? asked : otherwise;
  };

  async function loadLanguages() {
    if (languages.every((scope) => scope === "macro")) return;
    await Promise.all([...new Set([...metrics, index.primary])].map(async (metric) => {
      if (rows[0]?.by?.[metric] || !board.metrics.includes(metric)) return;
      const shard = await detoxbench.packing.metric(board, metric);
      rows.forEach((row, place) => {
        row.by ??= {};
        row.by[metric] = Object.fromEntries(board.languages.map((tag, at) => [tag, shard.values[place][at]]));
        if (shard.reasons) (row.why ??= {})[metric] = shard.reasons[place];
        if (shard.ranks) row.ranks = Object.fromEntries(board.languages.map((tag, at) => [tag, shard.ranks[place][at]]));
      });
    }));
  }

  async function rebuild() {
    await loadLanguages();
    const made = columns();
    const [sort, way] = (state.get("sort") ?? "rank.asc").split(/\.(?=[a-z]+$)/);
    const known = made.some((column) => column.id === sort);
    const filters = [...FILTERS, "since", "covers"].filter((id) => state.get(id)).map((id) => ({ id, value: state.get(id) }));
    table = create({
      rows, columns: made, changed: redraw,
      state: {
        sorting: [{ id: known ? sort : "rank", desc: known && way === "desc" }, ...(sort === "rank" || !known ? [{ id: `${index.primary}.${rankScope()}`, desc: false }] : [])].filter(({ id }) => made.some((column) => column.id === id)),
        columnFilters: filters, globalFilter: state.get("q") ?? "",
        columnVisibility: Object.fromEntries([...FILTERS, "since", "covers"].map((id) => [id, false])),
        pagination: { pageIndex: 0, pageSize: Number(state.get("show")) || PAGE },
      },
    });
    redraw(table);
  }

  function redraw(changed) {
    draw(changed, element);
    const { sorting, pagination } = changed.getState();
    const matching = changed.getFilteredRowModel().rows.length;
    byId("count").textContent = matching === rows.length ? `${rows.length} ${rows.length === 1 ? "run" : "runs"}` : `${matching} of ${rows.length} runs`;
    byId("more").hidden = matching <= pagination.pageSize;
    const [first] = sorting;
    const plainSort = !first || (first.id === "rank" && !first.desc);
    remember({ sort: plainSort ? null : `${first.id}.${first.desc ? "desc" : "asc"}`, show: pagination.pageSize === PAGE ? null : pagination.pageSize });
  }

  // -- controls --------------------------------------------------------------------------------------------------
  function checks(fieldset, entries, chosen, name, otherwise) {
    const legend = fieldset.querySelector("legend");
    fieldset.replaceChildren(legend, ...entries.map(([value, text]) => el("label", { class: "check" },
      Object.assign(el("input", { type: "checkbox", value }), { checked: chosen().includes(value), onchange: () => {
        const picked = [...fieldset.querySelectorAll("input:checked")].map((input) => input.value);
        remember({ [name]: picked.length && picked.join() !== otherwise.join() ? picked.join() : null });
        choose();
        rebuild().catch(detoxbench.fail);
      } }), plain(text))));
  }

  function choose() {
    languages = listed("lang", ["macro", ...board.languages], ["macro"]);
    const otherwise = index.columns.filter((name) => board.metrics.includes(name));
    metrics = listed("metrics", board.metrics, otherwise.length ? otherwise : board.metrics.slice(0, 4));
    byId("languages-summary").textContent = languages.length === 1 ? `Languages: ${language(languages[0])}` : `Languages: ${languages.length} shown`;
    byId("metrics-summary").textContent = `Columns: ${metrics.length}`;
    return otherwise;
  }

  function controls() {
    const otherwise = choose();
    checks(byId("languages"), view.scopes(board), () => languages, "lang", ["macro"]);
    checks(byId("metrics"), board.metrics.map((name) => [name, view.title(index, name)]), () => metrics, "metrics", otherwise);
    const pick = (id, entries) => {
      view.options(byId(id), [["", "All"], ...entries], state.get(id) ?? "");
      byId(id).onchange = ({ target }) => {
        remember({ [id]: target.value });
        table.getColumn(id).setFilterValue(target.value || undefined);
        counted();
      };
    };
    for (const id of FILTERS) pick(id, [...new Set(rows.map((row) => row[id]))].sort().map((value) => [value, value]));
    pick("since", [...new Set(rows.map((row) => row.date.slice(0, 7)))].filter(Boolean).sort().reverse().map((month) => [month, month]));
    pick("covers", board.languages.map((tag) => [tag, language(tag)]));
    counted();
    byId("search").value = state.get("q") ?? "";
    byId("search").oninput = ({ target }) => { remember({ q: target.value }); table.setGlobalFilter(target.value); };
    byId("more").onclick = () => table.setPageSize(table.getState().pagination.pageSize * 4);
    byId("share").onclick = ({ currentTarget }) => {
      remember({ board: board.id });
      detoxbench.copy(location.href, currentTarget);
    };
  }

  function counted() {
    const active = [...FILTERS.slice(2), "since", "covers"].filter((id) => state.get(id)).length;
    byId("filters-summary").textContent = active ? `Filters: ${active}` : "Filters";
  }

  // What is shown, as rows: one a run, columns as in the table with their bounds.
  function shown() {
    return table.getSortedRowModel().rows.map(({ original: row }) => {
      const found = { rank: rankOf(row), model: row.model, method: row.method, variant: row.variant, run: row.id, date: row.date, prompts: row.prompts, samples: board.samples };
      for (const metric of metrics) {
        for (const scope of languages) {
          const [value, low, high] = valueOf(row, metric, scope) ?? [null, null, null];
          Object.assign(found, { [`${metric} ${scope}`]: value, [`${metric} ${scope} low`]: low, [`${metric} ${scope} high`]: high });
        }
      }
      return found;
    });
  }

  // On a phone the table comes first: its controls are folded unless the address asks for something of them.
  const phone = matchMedia("(max-width: 700px)");
  const fold = () => { byId("controls").open = !phone.matches || ["q", "since", "covers", ...FILTERS].some((name) => state.get(name)); };
  phone.addEventListener("change", fold);
  fold();

  view.start(async (chosen, found, all, words) => {
    [board, rows, index] = [chosen, found, all];
    rows.forEach((row) => {
      row.title = view.rowName(row);
      row.search = `${row.model} ${row.method} ${row.variant}`.toLowerCase();
      row.marked = row.method === "none";
    });
    opening(words);
    controls();
    element.classList.remove("plain", "delivered");
    detoxbench.downloads(board, shown, index);
    await rebuild();
  });
})();
