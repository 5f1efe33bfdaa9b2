// Two metrics of a board against each other, with the Pareto front.
"use strict";
(() => {
  const { plain, interval, language, state, remember, view } = detoxbench;
  const byId = (id) => document.getElementById(id);
  const MOST = 400;

  // Which points no other point beats in both; signs turn metrics where more is better.
  function front(points, [signX, signY]) {
    const kept = [];
    const turned = points.map((point) => ({ point, a: point.x * signX, b: point.y * signY }));
    let [least, at] = [Infinity, NaN];
    for (const { point, a, b } of turned.sort((p, q) => p.a - q.a || p.b - q.b)) {
      if (b < least || (b === least && a === at)) { kept.push(point); [least, at] = [b, a]; }
    }
    return kept;
  }

  // Labels that would lie over another one's are left out; the front and the least toxic go first.
  function apart(named, all, log) {
    const [width, height] = [Math.max(200, byId("chart").clientWidth - 90), 400];
    const scale = (values, size, at) => {
      const [least, most] = [Math.min(...values), Math.max(...values)];
      return (value) => (size * (at(value) - at(least))) / (at(most) - at(least) || 1);
    };
    const across = scale(all.flatMap((point) => [point.xLow, point.xHigh]), width, (value) => value);
    const up = scale(all.flatMap((point) => [point.yLow, point.yHigh]), height, log ? Math.log : (value) => value);
    const taken = [];
    for (const point of [...named].sort((p, q) => q.front - p.front || p.x - q.x)) {
      const [left, middle, wide] = [across(point.x) + 9, up(point.y), point.label.length * 7 + 4];
      const box = [left, left + wide, middle, middle + 17];
      const free = left + wide <= width + 60 && taken.every(([a, b, c, d]) => box[1] < a || box[0] > b || box[3] < c || box[2] > d);
      if (free) taken.push(box);
      else point.label = null;
    }
  }

  view.start(async (board, rows, index) => {
    const choices = board.metrics.map((name) => [name, view.title(index, name)]);
    const pick = (name, otherwise) => (board.metrics.includes(state.get(name)) ? state.get(name) : board.metrics.includes(otherwise) ? otherwise : board.metrics[0]);
    view.options(byId("x"), choices, pick("x", index.primary));
    view.options(byId("y"), choices, pick("y", index.cost));
    view.options(byId("language"), view.scopes(board), state.get("lang") ?? "macro");
    byId("log").checked = state.get("log") === "1";

    async function show() {
      const [x, y, scope] = [byId("x").value, byId("y").value, byId("language").value];
      let estimates = (metric) => rows.map((row) => row.macro[metric] ?? null);
      if (scope !== "macro") {
        const shards = Object.fromEntries(await Promise.all([...new Set([x, y])].map(async (metric) => [metric, await detoxbench.packing.metric(board, metric)])));
        const at = board.languages.indexOf(scope);
        estimates = (metric) => shards[metric].values.map((values) => values[at]);
      }
      const [across, up] = [estimates(x), estimates(y)];
      const points = rows.map((row, place) => ({ row, across: across[place], up: up[place] }))
        .filter((point) => point.across && point.up)
        .map(({ row, across: a, up: b }) => ({
          x: a[0], xLow: a[1] ?? a[0], xHigh: a[2] ?? a[0], y: b[0], yLow: b[1] ?? b[0], yHigh: b[2] ?? b[0],
          xText: interval(a), yText: interval(b), name: view.rowName(row), method: plain(row.method, 40),
          model: plain(row.model, 60), id: row.id, judge: row.judge, front: false, label: null,
        }));
      const signs = [x, y].map((name) => (view.metricOf(index, name).higher_is_better ? -1 : 1));
      const best = front(points.filter((point) => !point.judge), signs);
      for (const point of best) point.front = true;
      const kept = points.length > MOST ? [...best, ...points.filter((point) => !point.front).slice(0, MOST - best.length)] : points;
      const models = new Set(kept.map((point) => point.model));
      const named = kept.filter((point) => kept.length <= 14 || point.front);
      for (const point of named) point.label = plain(models.size > 1 && innerWidth >= 640 ? `${point.name} · ${point.model}` : point.name, innerWidth < 640 ? 18 : 34);
      kept.sort((p, q) => (q.method === "none") - (p.method === "none") || p.method.localeCompare(q.method));
      // Unless somebody chose: logarithmic where the values lie far apart.
      const heights = kept.map((point) => point.y);
      if (!state.has("log")) byId("log").checked = Math.min(...heights) > 0 && Math.max(...heights) > 5 * Math.min(...heights);
      const log = byId("log").checked && kept.every((point) => point.yLow > 0);
      apart(named, kept, log);
      await detoxbench.chart(byId("chart"), "tradeoff", kept, { xTitle: view.title(index, x), yTitle: view.title(index, y) }, {
        click: (datum) => { if (datum.id) location.href = `run.html#id=${datum.id}`; },
        change: (spec) => {
          // With one domain, colours and shapes have one legend.
          const domain = [...new Set(kept.map((point) => point.method))];
          for (const { encoding } of spec.layer) {
            if (log) encoding.y.scale.type = "log";
            for (const channel of ["color", "shape"].filter((name) => encoding[name])) {
              encoding[channel].scale = { domain };
              if (innerWidth < 640) encoding[channel].legend.columns = 2;
            }
          }
          return spec;
        },
      });
      const left = rows.length - points.length;
      byId("caption").textContent = `${language(scope)}. ${kept.length} ${kept.length === 1 ? "run" : "runs"}${points.length > kept.length ? ` of ${points.length}: the front and the first others` : ""}.${left ? ` ${left} without both values are left out.` : ""}${byId("log").checked && !log ? " No logarithmic scale: an interval reaches 0." : ""}`;
      view.fill(byId("front"), ["Method", "Model", view.title(index, x), view.title(index, y)],
        [...best].sort((p, q) => p.x - q.x).map((point) => [view.runLink(rows.find((row) => row.id === point.id)), detoxbench.isolated(point.model), point.xText, point.yText]));
    }
    for (const [id, name] of [["x", "x"], ["y", "y"], ["language", "lang"]]) {
      byId(id).onchange = ({ target }) => { remember({ [name]: target.value }); show().catch(detoxbench.fail); };
    }
    byId("log").onchange = ({ target }) => { remember({ log: target.checked ? "1" : "0" }); show().catch(detoxbench.fail); };
    await show();
  });
})();
