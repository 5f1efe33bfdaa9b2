// One run: its numbers by language, how to make it again, where it comes from.
"use strict";
(() => {
  const { el, load, packing, isolated, visible, plain, interval, language, state, remember, view } = detoxbench;
  const byId = (id) => document.getElementById(id);

  // A record's block as a list of definitions, nested blocks as dotted names.
  function flat(block, prefix = "") {
    return Object.entries(block).flatMap(([name, value]) =>
      (value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]));
  }
  function facts(heading, block) {
    const entries = flat(block).filter(([, value]) => value !== null && value !== "");
    return el("section", {}, el("h3", { text: heading }), el("dl", { class: "facts-list" }, ...entries.map(([name, value]) =>
      el("div", {}, el("dt", {}, isolated(name.replaceAll("_", " ").replaceAll(".", " · "), 100)), el("dd", {}, isolated(Array.isArray(value) ? value.join(", ") || "none" : value, 400))))));
  }

  async function start() {
    const index = await load("index");
    const id = state.get("id") ?? "";
    if (!/^[0-9a-f]{16}$/.test(id)) {
      byId("name").textContent = "Which run?";
      byId("lead").replaceChildren("Choose one in the ", el("a", { href: "index.html" }, "overview"), ".");
      return;
    }
    const { record, extra } = await packing.run(id);
    const board = index.boards.find((found) => found.id === extra.board);
    detoxbench.judged(board, index);
    const { rows } = await load(`b-${board.id}`);
    const row = rows.find((found) => found.id === id);
    const base = row.base !== null && rows[row.base] !== row ? rows[row.base] : null;
    const other = base ? (await packing.run(base.id)).record : null;
    document.title = `${view.rowName(row)} · detoxbench`;
    byId("eyebrow").replaceChildren("Run · ", isolated(board.title), board.mini ? el("span", { class: "badge", text: "mini" }) : "");
    const page = index.pages.method[row.method];
    byId("name").replaceChildren(page ? el("a", { href: encodeURIComponent(page) }, isolated(view.rowName(row), 140)) : isolated(view.rowName(row), 140));
    byId("lead").replaceChildren("on ", isolated(row.model, 140), row.judge ? " · self-judged, so not ranked" : "", row.limited.length ? " · cut short with --limit, so not ranked" : "", row.overlaps.length ? ` · ${row.overlaps.join(" · ")}` : "", row.uncovered.length ? " · another share of empty or unscored continuations than its base, so not ranked" : "",
      ...(base ? [" · ", el("a", { href: `compare.html#board=${board.id}&a=${base.id}&b=${id}` }, "compare with its base")] : []));
    const tiles = [["Rank", row.rank ?? "–"], ["Prompts × continuations", `${row.prompts}${row.limited.length ? " (limited)" : ""} × ${board.samples}`], ...[index.primary, ...index.sides].filter((name) => row.macro[name]).map((name) =>
      [view.metricOf(index, name).display_name, interval(row.macro[name])]), ["Date", record.date.slice(0, 10) || "–"]];
    byId("tiles").replaceChildren(...tiles.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, isolated(value)))));

    const metrics = board.metrics.filter((name) => record.tasks.some((task) => task.metrics[name]));
    view.options(byId("metric"), metrics.map((name) => [name, view.title(index, name)]), state.get("metric") ?? index.primary);
    const tag = (task) => task.run.lang ?? task.name;
    // Why an estimate of a task, or of the whole run, has no interval.
    const why = ({ degenerate }, name) => (degenerate[name] ? `: ${plain(degenerate[name], 120)}` : "");
    async function chart() {
      const metric = byId("metric").value;
      const series = [[view.rowName(row), record], ...(other ? [[base.variant ? view.rowName(base) : "none (base)", other]] : [])];
      const points = record.tasks.map(tag).sort().flatMap((lang) => series.map(([name, run]) => {
        const estimate = run.tasks.find((task) => tag(task) === lang)?.metrics[metric];
        return estimate && estimate[0] !== null ? { label: language(lang), series: name, value: estimate[0], low: estimate[1] ?? estimate[0], high: estimate[2] ?? estimate[0], text: interval(estimate) + why(run.tasks.find((task) => tag(task) === lang), metric) } : null;
      })).filter(Boolean);
      await detoxbench.chart(byId("chart"), "intervals", points, { title: view.title(index, metric) }, {
        change: (spec) => detoxbench.chart.order(spec, series.map(([name]) => name)),
      });
    }
    byId("metric").onchange = ({ target }) => { remember({ metric: target.value }); chart().catch(detoxbench.fail); };
    await chart();
    const every = [...new Set(record.tasks.flatMap((task) => Object.keys(task.metrics)))];
    const languages = record.tasks.map(tag).sort();
    view.fill(byId("numbers"), ["Metric", language("macro"), ...languages.map(language)], every.map((name) => {
      const each = languages.map((lang) => record.tasks.find((task) => tag(task) === lang).metrics[name] ?? null);
      const digits = detoxbench.places([record.macro[name], ...each].map((found) => found?.[0]));
      const shown = (found, of) => (found && found[0] !== null ? interval(found, digits) + why(of, name) : "–");
      return [index.metrics.some((metric) => metric.name === name) ? view.title(index, name) : name.replaceAll("_", " "), shown(record.macro[name], record), ...each.map((found, place) => shown(found, record.tasks.find((task) => tag(task) === languages[place])))];
    }));
    byId("command").textContent = extra.command.split("\n").map(visible).join("\n");
    byId("nucleus").textContent = extra.nucleus;
    byId("copy").onclick = ({ target }) => detoxbench.copy(extra.command, target);
    byId("record").href = URL.createObjectURL(new Blob([JSON.stringify(record)], { type: "application/json" }));
    byId("record").download = `${id}.json`;
    const { seconds, ...settings } = record.tasks[0].run;
    const { lang, failed_scores: failed, prompts_sha256: digest, ...common } = settings;
    byId("provenance").replaceChildren(
      facts("Model and method", record.model ?? { model: record.label }), facts("Measurement", common),
      facts("Prompts by language", Object.fromEntries(record.tasks.map((task) => [tag(task), `${task.prompts} prompts, sha256 ${task.run.prompts_sha256.slice(0, 16)}…, ${task.run.failed_scores} unscored`]))));
    detoxbench.samples(id, extra.samples, languages);
    document.body.dataset.ready = "true";
  }
  start().catch(detoxbench.fail);
})();
