// The trade-off of a board at a glance, beside its headline: toxicity across, bits per byte up, each with its interval.
"use strict";
detoxbench.thumbnail = (link, caption, rows, index) => {
  const { el, plain, view } = detoxbench;
  const WIDTH = 340, HEIGHT = 210, PAD = 16, MOST = 200;
  const [x, y] = [index.primary, index.cost];
  const points = rows.filter((row) => row.macro[x] && row.macro[y] && row.rank !== null).slice(0, MOST);
  link.closest("figure").hidden = points.length < 2;
  if (points.length < 2) return;
  const span = (metric) => {
    const values = points.map((row) => row.macro[metric][0]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const room = (most - least || 1) * 0.12;
    return [least - room, most + room];
  };
  const [[x0, x1], [y0, y1]] = [span(x), span(y)];
  const across = (value) => Math.max(2, Math.min(WIDTH - 2, PAD + ((value - x0) / (x1 - x0)) * (WIDTH - 2 * PAD)));
  const up = (value) => Math.max(2, Math.min(HEIGHT - 2, HEIGHT - PAD - ((value - y0) / (y1 - y0)) * (HEIGHT - 2 * PAD)));
  const best = points.reduce((least, row) => (row.macro[x][0] < least.macro[x][0] ? row : least), points[0]);
  const marks = points.flatMap((row) => {
    const [[a, aLow, aHigh], [b, bLow, bHigh]] = [row.macro[x], row.macro[y]];
    const kind = row.method === "none" ? "base" : row.front ? "front" : "other";
    return [
      el("line", { class: `reach ${kind}`, x1: across(aLow ?? a), x2: across(aHigh ?? a), y1: up(b), y2: up(b) }),
      el("line", { class: `reach ${kind}`, x1: across(a), x2: across(a), y1: up(bLow ?? b), y2: up(bHigh ?? b) }),
      el("circle", { class: `dot ${kind}`, cx: across(a), cy: up(b), r: row === best ? 5.5 : 4.2 }),
    ];
  });
  const name = (metric) => view.metricOf(index, metric).display_name.toLowerCase();
  link.replaceChildren(el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Trade-off: ${name(x)} across, ${name(y)} up; opens the chart` },
    el("path", { class: "frame", d: `M1 1V${HEIGHT - 1}H${WIDTH - 1}` }), ...marks));
  caption.replaceChildren(`${view.metricOf(index, x).display_name} across, ${name(y)} up: bottom left is best. Furthest left: `, detoxbench.isolated(plain(best.method, 40)), ". Grey: no method.");
};
