// The heat map of changes against the base, by language.
"use strict";
(() => {
  const { load, isolated, number, signed, bounds, language, state, remember, view } = detoxbench;
  const byId = (id) => document.getElementById(id);
  const MOST = 40;

  // Where the colours end: the largest change, or Tukey's upper fence where a few lie beyond it.
  function reachOf(changes) {
    const sizes = changes.map(Math.abs).sort((a, b) => a - b);
    if (!sizes.length) return 1;
    const [low, high] = [0.25, 0.75].map((share) => sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))]);
    return Math.min(sizes.at(-1), high + 1.5 * (high - low)) || sizes.at(-1) || 1;
  }

  view.start(async (board, rows, index) => {
    const metrics = index.compared.filter((name) => board.metrics.includes(name));
    const models = [...new Set(rows.map((row) => row.model))].sort();
    view.options(byId("metric"), metrics.map((name) => [name, view.title(index, name)]), state.get("metric") ?? index.primary);
    view.options(byId("model"), [["", "All"], ...models.map((name) => [name, name])], state.get("model") ?? "");
    byId("search").value = state.get("q") ?? "";

    async function show() {
      const metric = byId("metric").value;
      const [model, wanted] = [byId("model").value, byId("search").value.toLowerCase()];
      const { changes } = await load(`m-${board.id}-${metric}`);
      const kept = rows.map((row, place) => ({ row, change: changes[place], name: view.rowName(row) }))
        .filter(({ row, change, name }) => Object.keys(change).length && (!model || row.model === model) && (!wanted || name.toLowerCase().includes(wanted)))
        .sort((a, b) => (a.change.macro?.[0] ?? 0) - (b.change.macro?.[0] ?? 0));
      const several = new Set(kept.map(({ row }) => row.model)).size > 1;
      // The average over one language is that language.
      const scopes = board.languages.length > 1 ? ["macro", ...board.languages] : board.languages;
      const label = ({ row, name }) => detoxbench.plain(several ? `${name} · ${row.model}` : name, 60);
      const cells = kept.slice(0, MOST).flatMap((entry) => scopes.filter((scope) => entry.change[scope] && entry.change[scope][0] !== null).map((scope) => {
        const [value, low, high, p, why] = entry.change[scope];
        return {
          name: label(entry), language: scope === "macro" ? "all" : detoxbench.marked(scope), languageName: language(scope), change: value, p,
          significant: p !== null && p < 0.05, text: `${signed(value)} ${bounds(low, high)}${why ? `: ${why}` : ""}${p !== null && p < 0.05 ? ", significant" : ""}`, id: entry.row.id,
        };
      }));
      byId("chart-title").textContent = `Change in ${view.metricOf(index, metric).display_name.toLowerCase()}`;
      const reach = reachOf(cells.map((cell) => cell.change));
      const higher = view.metricOf(index, metric).higher_is_better === true;
      if (cells.length) {
        await detoxbench.chart(byId("chart"), "heatmap", cells, { reach, digits: reach > 3 ? "+.1f" : "+.2f" }, {
          // Blue is better, whichever way that is.
          change: (spec) => { if (higher) spec.layer[0].encoding.color.scale.range.reverse(); return spec; },
          click: (datum) => { if (datum.id) location.href = `run.html#id=${datum.id}`; },
        });
      } else byId("chart").replaceChildren(detoxbench.el("p", { class: "note", text: "No run here has a base to be compared with: the same model with method=none, on the same board, with its samples." }));
      byId("caption").textContent = kept.length > MOST ? `The ${MOST} runs with the lowest values of ${kept.length} runs; search or choose a model to see others.` : `${kept.length} ${kept.length === 1 ? "run" : "runs"} with a base.${scopes[0] === "macro" ? " The first column is the average over languages." : ""}`;
      view.fill(byId("numbers"), ["Method", ...scopes.map(language)], kept.slice(0, 200).map((entry) => [
        view.runLink(entry.row, label(entry)),
        ...scopes.map((scope) => {
          const found = entry.change[scope];
          return found ? `${signed(found[0])} ${bounds(found[1], found[2])}, p ${found[3] !== null && found[3] < 0.001 ? "< 0.001" : number(found[3])}` : "–";
        }),
      ]));
    }
    byId("metric").onchange = ({ target }) => { remember({ metric: target.value }); show().catch(detoxbench.fail); };
    byId("model").onchange = ({ target }) => { remember({ model: target.value }); show().catch(detoxbench.fail); };
    byId("search").oninput = ({ target }) => { remember({ q: target.value }); show().catch(detoxbench.fail); };
    await show();
  });
})();
