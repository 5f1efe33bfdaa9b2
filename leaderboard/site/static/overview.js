// The overview: what the board found, and its runs in a table.
"use strict";
(() => {
  const { el, load, plain, isolated, number, signed, interval, language, state, remember, view } = detoxbench;
  const { create, draw, estimateCell, byValue } = detoxbench.table;
  const PAGE = 50;
  const byId = (id) => document.getElementById(id);
  const element = byId("table");
  let board, rows, index, table, languages, metrics;

  function findings(found) {
    const tiles = [["Runs", found.runs], ["Methods", found.methods], ["Languages", board.languages.length],
      ["Continuations a prompt", board.facts.find(([name]) => name.startsWith("Continuations"))?.[1] ?? "–"]];
    byId("eyebrow").replaceChildren("Detoxification leaderboard · ", isolated(board.title), board.mini ? el("span", { class: "badge", text: "mini", title: "Embedded model, prompts or scorer: for trying things out" }) : "");
    const primary = view.metricOf(index, index.primary).display_name.toLowerCase();
    if (found.kind === "reduction") {
      const share = Math.round((-100 * found.change[0]) / found.from);
      byId("finding").replaceChildren(isolated(found.method), ` cuts ${primary} by `, el("em", { text: `${share}%` }));
      const ties = found.tied ? ` It shares rank ${found.rank} with ${found.tied} other ${found.tied === 1 ? "run" : "runs"}: their differences are not significant.` : "";
      const [before, after] = found.cost;
      const cost = before !== null && after !== null
        ? ` ${view.metricOf(index, index.cost).display_name} goes from ${number(before)} to ${number(after)}.` : "";
      byId("lead").replaceChildren("On ", isolated(found.model),
        `, from ${number(found.from)} to ${number(found.to)}: ${signed(found.change[0])} [${signed(found.change[1])}, ${signed(found.change[2])}], averaged over ${board.languages.length} ${board.languages.length === 1 ? "language" : "languages"}.${cost}${ties}`);
    } else {
      byId("finding").replaceChildren("How toxic language models are, under every detoxification method");
      const compared = rows.some((row) => row.base !== null && rows[row.base] !== row);
      byId("lead").replaceChildren(compared ? "No method here beats its base significantly." : "No run here has a base yet: the same model without a method.");
    }
    byId("tiles").replaceChildren(...tiles.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, isolated(value)))));
  }

  // -- columns ---------------------------------------------------------------------------------------------------
  const valueOf = (row, metric, scope) => (scope === "macro" ? row.macro[metric] : row.by?.[metric]?.[scope]) ?? null;

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
      { id: "rank", accessorFn: (row) => rankOf(row) ?? undefined, sortUndefined: "last", sortingFn: "basic",
        meta: { title: "Rank", class: "rank", show: (row) => rankCell(row, ties) } },
      { id: "name", accessorFn: (row) => row.title, sortingFn: "text",
        meta: { title: "Method", class: "name", head: true, show: nameCell } },
    ];
    const filters = ["model", "method"].map((id) => ({ id, accessorFn: (row) => row[id], filterFn: "equalsString", enableSorting: false, meta: { title: id, class: "", show: () => "" } }));
    const measured = metrics.flatMap((metric) => languages.map((scope) => {
      const range = domain(metric, scope);
      const { higher_is_better: higher, description } = view.metricOf(index, metric);
      return {
        id: `${metric}.${scope}`, accessorFn: (row) => valueOf(row, metric, scope)?.[0] ?? undefined,
        sortUndefined: "last", sortingFn: byValue,
        meta: { title: view.title(index, metric), scope, class: "metric", hint: description, descending: higher === true,
          show: (row) => estimateCell(valueOf(row, metric, scope), range, row.base === null ? null : valueOf(rows[row.base], metric, scope)?.[0]) },
      };
    }));
    return [...fixed, ...filters, ...measured];
  }

  function rankCell(row, ties) {
    const rank = rankOf(row);
    if (rank === null) {
      const why = row.judge ? "the scorer is its own teacher, or the model itself: not ranked" : row.missing.length ? `not on all prompts of ${row.missing.map(language).join(", ")}: not ranked` : "needs --log_samples to be ranked";
      return el("span", { class: "none", title: why }, "–", el("span", { class: "visually-hidden", text: why }));
    }
    const shared = ties.get(rank) > 1;
    return el("span", { class: rank === 1 ? "first" : false, title: shared ? `shared by ${ties.get(rank)} runs` : false }, String(rank),
      shared ? el("span", { class: "tie" }, el("span", { "aria-hidden": "true", text: "=" }), el("span", { class: "visually-hidden", text: ", shared" })) : null);
  }

  function nameCell(row) {
    const notes = [row.judge ? el("span", { class: "flag", title: "The method learned from the scorer that judges it, or the model is its own judge", text: "self-judged" }) : null,
      row.front ? el("span", { class: "flag good", title: "No other run is better both in toxicity and in perplexity", text: "Pareto" }) : null,
      row.missing.length ? el("span", { class: "flag", title: row.missing.map(language).join(", "), text: `${board.languages.length - row.missing.length} of ${board.languages.length} languages` }) : null];
    return el("div", {}, el("a", { href: `run.html#id=${row.id}` }, isolated(row.method, 60)), ...notes.filter(Boolean).flatMap((note) => [" ", note]),
      el("small", {}, isolated(row.variant ? `${row.model} · ${row.variant}` : row.model, 110)));
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
      const shard = await load(`m-${board.id}-${metric}`);
      rows.forEach((row, place) => {
        row.by ??= {};
        row.by[metric] = Object.fromEntries(board.languages.map((tag, at) => [tag, shard.values[place][at]]));
        if (shard.ranks) row.ranks = Object.fromEntries(board.languages.map((tag, at) => [tag, shard.ranks[place][at]]));
      });
    }));
  }

  async function rebuild() {
    await loadLanguages();
    const made = columns();
    const [sort, way] = (state.get("sort") ?? "rank.asc").split(/\.(?=[a-z]+$)/);
    const known = made.some((column) => column.id === sort);
    const filters = ["model", "method"].filter((id) => state.get(id)).map((id) => ({ id, value: state.get(id) }));
    table = create({
      rows, columns: made, changed: redraw,
      state: {
        sorting: [{ id: known ? sort : "rank", desc: known && way === "desc" }, ...(sort === "rank" || !known ? [{ id: `${index.primary}.${rankScope()}`, desc: false }] : [])].filter(({ id }) => made.some((column) => column.id === id)),
        columnFilters: filters, globalFilter: state.get("q") ?? "",
        columnVisibility: { model: false, method: false },
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
    for (const id of ["model", "method"]) {
      const values = [...new Set(rows.map((row) => row[id]))].sort();
      view.options(byId(id), [["", "All"], ...values.map((value) => [value, value])], state.get(id) ?? "");
      byId(id).onchange = ({ target }) => {
        remember({ [id]: target.value });
        table.getColumn(id).setFilterValue(target.value || undefined);
      };
    }
    byId("search").value = state.get("q") ?? "";
    byId("search").oninput = ({ target }) => { remember({ q: target.value }); table.setGlobalFilter(target.value); };
    byId("more").onclick = () => table.setPageSize(table.getState().pagination.pageSize * 4);
    byId("share").onclick = ({ target }) => {
      remember({ board: board.id });
      detoxbench.copy(location.href, target);
    };
  }

  // What is shown, as rows: one a run, columns as in the table with their bounds.
  function shown() {
    return table.getSortedRowModel().rows.map(({ original: row }) => {
      const found = { rank: rankOf(row), model: row.model, method: row.method, variant: row.variant, run: row.id };
      for (const metric of metrics) {
        for (const scope of languages) {
          const [value, low, high] = valueOf(row, metric, scope) ?? [null, null, null];
          Object.assign(found, { [`${metric} ${scope}`]: value, [`${metric} ${scope} low`]: low, [`${metric} ${scope} high`]: high });
        }
      }
      return found;
    });
  }

  view.start(async (chosen, found, all, text) => {
    [board, rows, index] = [chosen, found, all];
    rows.forEach((row) => {
      row.title = view.rowName(row);
      row.search = `${row.model} ${row.method} ${row.variant}`.toLowerCase();
      row.marked = row.method === "none";
    });
    findings(text);
    controls();
    detoxbench.downloads(board, shown);
    await rebuild();
  });
})();
