// Vega-Lite charts in the page's colours. Expressions are interpreted: the site's policy forbids eval.
"use strict";
detoxbench.chart = (() => {
  const { load, dark, onTheme, fail } = detoxbench;
  const drawn = new Map();

  // Draws a named chart with rows into an element, again whenever the theme changes.
  async function chart(element, name, rows, params = {}, { change = (spec) => spec, renderer = "svg", click = null } = {}) {
    const { specs, themes, configs } = await load("charts");
    const paint = async () => {
      const theme = dark() ? "dark" : "light";
      const spec = structuredClone(specs[name]);
      const given = Object.fromEntries(spec.params.map(({ name: key, value }) => [key, value]));
      for (const key of ["ink", "muted", "paper", "less", "middle", "more"]) given[`config_${key}`] = themes[theme][key];
      Object.assign(given, params);
      spec.params = Object.entries(given).map(([key, value]) => ({ name: key, value }));
      spec.data = { values: rows };
      spec.config = configs[theme];
      const { spec: compiled } = vegaLite.compile(change(spec), { logger: vega.logger(vega.Error) });
      drawn.get(element)?.view?.finalize();
      const view = new vega.View(vega.parse(compiled, null, { ast: true }), {
        expr: vegaInterpreter.expressionInterpreter, renderer, container: element, hover: true,
        logLevel: vega.Error, tooltip: (_, event, item, value) => tip(element, event, value),
      });
      drawn.get(element).view = view;
      if (click) view.addEventListener("click", (_, item) => { if (item?.datum) click(item.datum); });
      await view.runAsync();
      element.dataset.drawn = name;
    };
    const before = drawn.get(element);
    if (before) onTheme.splice(onTheme.indexOf(before.repaint), 1);
    const repaint = () => paint().catch(fail);
    drawn.set(element, { view: before?.view, repaint });
    onTheme.push(repaint);
    await paint();
  }

  // Gives the series of "intervals" their order: the first in the colour that stands out, the second muted.
  chart.order = (spec, names) => {
    const range = [{ expr: "config_less" }, { expr: "config_muted" }].slice(0, names.length);
    for (const { encoding } of spec.layer) {
      if (encoding.color) encoding.color.scale = { domain: names, range };
      if (encoding.shape) encoding.shape.scale = { domain: names };
    }
    return spec;
  };

  // A box of text beside the pointer; Vega's own would need a style sheet of its own.
  let box = null;
  function tip(element, event, value) {
    box ??= document.body.appendChild(detoxbench.el("div", { class: "tip", "aria-hidden": "true" }));
    if (value === null || value === undefined || typeof value !== "object") { box.hidden = true; return; }
    box.replaceChildren(...Object.entries(value).map(([name, text]) => detoxbench.el("div", {},
      name.trim() ? detoxbench.el("span", { text: name }) : null, " ", detoxbench.isolated(text, 200))));
    box.hidden = false;
    const { clientX: x, clientY: y } = event;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(8, y + 14 + height > innerHeight ? y - height - 10 : y + 14)}px`;
  }
  return chart;
})();
