// Two runs on the prompts that both have measured.
"use strict";
(() => {
  const { load, isolated, plain, number, signed, language, state, remember, view, statistics } = detoxbench;
  const byId = (id) => document.getElementById(id);
  const SHOWN = 6000;

  // Contributions of both runs to a metric, by language, on shared prompts.
  function pairs(a, b, metric) {
    const found = {};
    for (const one of a.tasks) {
      const other = b.tasks.find((task) => (task.run.lang ?? task.name) === (one.run.lang ?? one.name));
      if (!other || !one.columns[metric] || !other.columns[metric]) continue;
      const docs = (task) => (Array.isArray(task.docs) ? task.docs : Array.from({ length: task.docs }, (_, place) => place));
      const places = new Map(docs(other).map((doc, place) => [doc, place]));
      const at = (column, place) => (Array.isArray(column.denominators) ? column.denominators[place] : column.denominators);
      const group = { docs: [], an: [], ad: [], bn: [], bd: [] };
      docs(one).forEach((doc, place) => {
        if (!places.has(doc)) return;
        group.docs.push(doc);
        group.an.push(one.columns[metric].numerators[place]); group.ad.push(at(one.columns[metric], place));
        group.bn.push(other.columns[metric].numerators[places.get(doc)]); group.bd.push(at(other.columns[metric], places.get(doc)));
      });
      if (group.docs.length) found[one.run.lang ?? one.name] = group;
    }
    return found;
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const quotient = (group, n, d) => sum(group[n]) / sum(group[d]);

  view.start(async (board, rows, index) => {
    const several = new Set(rows.map((row) => row.model)).size > 1;
    const name = (row) => (several ? `${view.rowName(row)} · ${row.model}` : view.rowName(row));
    const ordered = [...rows].sort((p, q) => (p.rank ?? 1e9) - (q.rank ?? 1e9) || name(p).localeCompare(name(q)));
    const entries = ordered.map((row) => [row.id, `${row.rank ? `${row.rank}. ` : ""}${name(row)}`]);
    const best = ordered.find((row) => row.method !== "none" && row.rank !== null) ?? ordered[0];
    const base = best.base !== null && rows[best.base] !== best ? rows[best.base] : ordered.find((row) => row !== best) ?? best;
    const asked = (key, otherwise) => (rows.some((row) => row.id === state.get(key)) ? state.get(key) : otherwise.id);
    view.options(byId("a"), entries, asked("a", base));
    view.options(byId("b"), entries, asked("b", best));
    view.options(byId("metric"), index.paired.filter((metric) => board.metrics.includes(metric)).map((metric) => [metric, view.title(index, metric)]), state.get("metric") ?? index.primary);

    let turn = 0;
    async function show() {
      const [first, second, metric] = [byId("a").value, byId("b").value, byId("metric").value];
      const mine = ++turn;
      byId("status").textContent = "Comparing…";
      const [a, b] = await Promise.all([first, second].map((id) => load(`r-${id}`)));
      if (mine !== turn) return;
      const groups = pairs(a.record, b.record, metric);
      const languages = Object.keys(groups).sort();
      if (!languages.length) {
        byId("status").textContent = "These two have no prompt in common, or were run without --log_samples.";
        view.fill(byId("numbers"), ["Language"], []);
        for (const id of ["differences", "prompts"]) byId(id).replaceChildren();
        return;
      }
      const each = languages.map((tag) => statistics.difference([groups[tag]]));
      const p = statistics.adjusted(each.map((one) => one.p));
      const found = [["macro", statistics.difference(Object.values(groups)), NaN], ...languages.map((tag, i) => [tag, each[i], p[i]])];
      found[0][2] = found[0][1].p;
      const [rowA, rowB] = [first, second].map((id) => rows.find((row) => row.id === id));
      const metricName = view.metricOf(index, metric).display_name;
      const [, macro] = found[0];
      const verdict = Number.isNaN(macro.p) ? "could not be compared with" : macro.p >= 0.05 ? "does not differ significantly from" : macro.value < 0 ? "is lower than" : "is higher than";
      byId("finding").replaceChildren(isolated(view.rowName(rowB), 60), ` ${verdict} `, isolated(view.rowName(rowA), 60));
      byId("lead").textContent = `${metricName}: ${signed(macro.value)} [${signed(macro.low)}, ${signed(macro.high)}], p ${macro.p < 0.001 ? "< 0.001" : `= ${number(macro.p)}`}, averaged over ${languages.length} ${languages.length === 1 ? "language" : "languages"}, ${macro.prompts} shared prompts.`;
      byId("status").textContent = "";
      await detoxbench.chart(byId("differences"), "intervals", found.filter(([, one]) => !Number.isNaN(one.value)).map(([tag, one, adjusted]) => ({
        label: language(tag), series: adjusted < 0.05 ? "significant" : "not significant", value: one.value, low: one.low, high: one.high,
        text: `${signed(one.value)} [${signed(one.low)}, ${signed(one.high)}]`,
      })), { title: "B − A", reference: 0 }, {
        change: (spec) => {
          delete spec.encoding.yOffset;
          delete spec.layer[0].encoding.yOffset;
          spec.height = { step: 26 };
          return detoxbench.chart.order(spec, ["significant", "not significant"]);
        },
      });
      const points = languages.flatMap((tag) => groups[tag].docs.map((doc, i) => ({ language: language(tag), prompt: doc, x: groups[tag].an[i] / groups[tag].ad[i], y: groups[tag].bn[i] / groups[tag].bd[i] })))
        .filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
      const step = Math.max(1, points.length / SHOWN);
      const shown = points.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
      const values = shown.flatMap(({ x, y }) => [x, y]);
      await detoxbench.chart(byId("prompts"), "scatter", shown, {
        xTitle: `A: ${plain(view.rowName(rowA), 40)}`, yTitle: `B: ${plain(view.rowName(rowB), 40)}`,
        least: values.reduce((m, v) => Math.min(m, v), Infinity), most: values.reduce((m, v) => Math.max(m, v), -Infinity),
      }, { renderer: shown.length > 1500 ? "canvas" : "svg" });
      view.fill(byId("numbers"), ["Language", "A", "B", "B − A", "B ÷ A", "95% interval", "p", "Significant", "Detectable", "Prompts"], found.map(([tag, one, adjusted]) => {
        const kept = tag === "macro" ? Object.values(groups) : [groups[tag]];
        const mean = (n, d) => kept.reduce((total, group) => total + quotient(group, n, d), 0) / kept.length;
        // Over languages the ratios' geometric mean: no language outweighs another by its scale.
        const ratio = (found) => Math.exp(found.reduce((total, group) => total + Math.log(quotient(group, "bn", "bd") / quotient(group, "an", "ad")), 0) / found.length);
        return [language(tag), number(mean("an", "ad")), number(mean("bn", "bd")), signed(one.value), number(ratio(kept)), `[${signed(one.low)}, ${signed(one.high)}]`,
          adjusted < 0.001 ? "< 0.001" : number(adjusted), adjusted < 0.05 ? "yes" : "no", number(one.detectable), String(one.prompts)];
      }));
    }
    const change = (key) => ({ target }) => { remember({ [key]: target.value }); show().catch(detoxbench.fail); };
    byId("a").onchange = change("a");
    byId("b").onchange = change("b");
    byId("metric").onchange = change("metric");
    byId("swap").onclick = () => {
      [byId("a").value, byId("b").value] = [byId("b").value, byId("a").value];
      remember({ a: byId("a").value, b: byId("b").value });
      show().catch(detoxbench.fail);
    };
    byId("share").onclick = ({ target }) => {
      remember({ board: board.id, a: byId("a").value, b: byId("b").value, metric: byId("metric").value });
      detoxbench.copy(location.href, target);
    };
    await show();
  });
})();
