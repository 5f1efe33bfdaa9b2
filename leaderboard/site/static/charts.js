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
        logLevel: vega.Error, tooltip: (_, event, item, value) => tip(event, value),
      });
      drawn.get(element).view = view;
      let touched = null;
      if (click) view.addEventListener("click", (event, item) => {
        if (!item?.datum) return;
        // The first touch shows what a pointer would see by hovering, the second one opens.
        if (event.pointerType === "touch" && touched !== item.datum) { touched = item.datum; if (item.tooltip) tip(event, item.tooltip); } else click(item.datum);
      });
      await view.runAsync();
      reachable(element);
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

  // A box of text beside the pointer or the point in focus; Vega's own would need a style sheet of its own.
  function content(value) {
    return detoxbench.el("div", {}, ...Object.entries(value).map(([name, text]) => detoxbench.el("div", {},
      name.trim() ? detoxbench.el("span", { text: name }) : null, " ", detoxbench.isolated(text, 200))));
  }
  function tip(event, value) {
    if (value === null || value === undefined || typeof value !== "object") detoxbench.tip(null);
    else detoxbench.tip(content(value), event.clientX + 14, event.clientY + 14);
  }
  // Points of a chart take the focus, and show then what the pointer would.
  function reachable(element) {
    for (const node of element.querySelectorAll("[aria-roledescription=point], [aria-roledescription='rect mark'], [aria-roledescription=symbol]")) {
      const item = node.__data__;
      if (!item?.tooltip) continue;
      node.setAttribute("tabindex", "0");
      node.addEventListener("focus", () => { const { left, bottom } = node.getBoundingClientRect(); detoxbench.tip(content(item.tooltip), left, bottom + 6); });
      node.addEventListener("keydown", (event) => { if (event.key === "Enter") node.dispatchEvent(new MouseEvent("click", { bubbles: true })); });
    }
  }
  return chart;
})();
