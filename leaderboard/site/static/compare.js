// Two runs on the prompts that both have measured.
"use strict";
(() => {
  const { packing, isolated, plain, number, signed, bounds, UNBOUNDED, language, state, remember, view, statistics } = detoxbench;
  const byId = (id) => document.getElementById(id);
  const SHOWN = 6000, MARGIN = 0.05 + 1e-9;

  // Contributions of both runs to a metric, by language, on shared prompts.
  function pairs(a, b, metric) {
    const found = {};
    for (const one of a.tasks) {
      const other = b.tasks.find((task) => (task.run.lang ?? task.name) === (one.run.lang ?? one.name));
      if (!other || !one.columns[metric] || !other.columns[metric]) continue;
      const places = new Map(other.docs.map((doc, place) => [doc, place]));
      const at = (column, place) => (Array.isArray(column.denominators) ? column.denominators[place] : column.denominators);
      const group = { tasks: [one, other], docs: [], an: [], ad: [], bn: [], bd: [] };
      one.docs.forEach((doc, place) => {
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

  // Why two runs are not compared in a metric: it rests on unlike shares of what they were asked (core/coverage.py).
  function unlike(group, metric, counted) {
    const [a, b] = group.tasks.map((task, side) => {
      const under = side ? group.bd : group.ad, asked = under.length, measured = under.filter((one) => one > 0).length;
      const lost = ["empty_fraction", "failed_fraction"].map((name) => task.metrics[name]?.[0] ?? null).filter((share) => share !== null);
      const counts = lost.length > 0, k = task.run.samples;
      let share = metric === "empty_fraction" || metric === "failed_fraction" ? 1 : 1 - sum(lost);
      if (counts && counted) share = Math.min(share, sum(under) / (asked * k));
      return { asked, measured, counts, share: counts ? share : measured / asked };
    });
    const percent = (share) => `${Math.round(100 * share)}%`;
    if (a.counts && b.counts && Math.abs(a.share - b.share) > MARGIN) return `rests on ${percent(a.share)} of the continuations against ${percent(b.share)}`;
    if (Math.abs(a.measured / a.asked - b.measured / b.asked) > MARGIN) return `rests on ${a.measured} of ${a.asked} prompts against ${b.measured} of ${b.asked}`;
    return "";
  }

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
      const [a, b] = await Promise.all([first, second].map((id) => packing.run(id)));
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
      const { unit } = view.metricOf(index, metric), counted = unit === "share of generations" || index.ratios.includes(metric);
      const apart = languages.map((tag) => [tag, unlike(groups[tag], metric, counted)]).filter(([, why]) => why);
      const all = statistics.difference(Object.values(groups));
      const found = languages.map((tag, i) => ({ tag, kept: [groups[tag]], one: each[i], adjusted: p[i], why: Object.fromEntries(apart)[tag] ?? "" }));
      // Over one language the average is that language.
      if (languages.length > 1) found.unshift({ tag: "macro", kept: Object.values(groups), one: all, adjusted: all.p, why: apart.map(([tag, why]) => `${language(tag)} ${why}`).join("; ") });
      const significant = ({ adjusted, why }) => adjusted <= statistics.LEVEL && !why;
      const interval = (one) => (one.method === "sign-flip" ? bounds(one.low, one.high) : UNBOUNDED) + (one.reason ? `: ${one.reason}` : "");
      const shownP = (p) => (p < 0.001 ? "< 0.001" : number(p));
      const [rowA, rowB] = [first, second].map((id) => rows.find((row) => row.id === id));
      const metricName = view.metricOf(index, metric).display_name;
      const verdict = Number.isNaN(all.p) || found[0].why ? "could not be compared with" : !significant(found[0]) ? "does not differ significantly from" : all.value < 0 ? "is lower than" : "is higher than";
      byId("finding").replaceChildren(isolated(view.rowName(rowB), 60), ` ${verdict} `, isolated(view.rowName(rowA), 60));
      byId("lead").textContent = `${metricName}: ${signed(all.value)} ${interval(all)}, p ${all.p < 0.001 ? "" : "= "}${shownP(all.p)}, ${languages.length === 1 ? "in one language" : `averaged over ${languages.length} languages`}, ${all.prompts} shared prompts.`;
      const nuclei = rowA.drawn !== null && rowB.drawn !== null && rowA.drawn !== rowB.drawn
        ? `The runs were sampled from unlike nuclei, of mass ${rowA.drawn} and ${rowB.drawn}: part of what differs is the nucleus, not the method.` : "";
      byId("status").textContent = [found[0].why ? `Not compared: ${found[0].why}.` : "", nuclei].filter(Boolean).join(" ");
      await detoxbench.chart(byId("differences"), "intervals", found.filter(({ one }) => !Number.isNaN(one.value)).map((entry) => ({
        label: language(entry.tag), series: significant(entry) ? "significant" : "not significant", value: entry.one.value,
        low: Number.isFinite(entry.one.low) ? entry.one.low : entry.one.value, high: Number.isFinite(entry.one.high) ? entry.one.high : entry.one.value,
        text: `${signed(entry.one.value)} ${interval(entry.one)}`,
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
      const ratios = index.ratios.includes(metric);
      view.fill(byId("numbers"), ["Language", "A", "B", "B − A", ...(ratios ? ["B ÷ A, mean of prompts"] : []), "95% interval of B − A", "p", "Significant", "Detectable", "Prompts"], found.map((entry) => {
        const { tag, kept, one, adjusted, why } = entry;
        const [ratio, low, high] = ratios ? statistics.geometric(kept) : [];
        return [language(tag), number(one.a), number(one.b), signed(one.value), ...(ratios ? [`${number(ratio)} ${bounds(low, high, number)}`] : []), interval(one),
          shownP(adjusted), why ? `not compared: ${why}` : significant(entry) ? "yes" : "no", number(one.detectable), String(one.prompts)];
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
