// The site's one global: data files, elements made of text alone, numbers, the state in the address, the theme.
"use strict";
const detoxbench = (() => {
  const content = new Map();
  const waiting = new Map();

  // Data files are scripts that call this.
  function put(name, value) { content.set(name, value); }

  // What data/NAME.js has put; rejected where there is no such file.
  function load(name) {
    if (content.has(name)) return Promise.resolve(content.get(name));
    if (!/^[\w.+=@-]{1,200}$/.test(name) || name.includes("..")) return Promise.reject(new Error("no such data"));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.onload = () => (content.has(name) ? resolve(content.get(name)) : reject(new Error(`data/${name}.js is empty`)));
        script.onerror = () => reject(new Error(`data/${name}.js cannot be read`));
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  }

  // An element; strings among the children become text nodes, never markup.
  function el(tag, attributes = {}, ...children) {
    const svg = ["svg", "line", "circle", "path", "rect"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  // Control characters as visible signs; direction marks stay, since bdi keeps them inside.
  const visible = (text) => String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g,
    (sign) => (sign === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + sign.charCodeAt(0))));
  // Names go into charts and options, where nothing isolates them: without direction marks, and not too long.
  const plain = (text, longest = 80) => {
    const clean = visible(text).replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").replace(/\s+/g, " ");
    return clean.length > longest ? clean.slice(0, longest - 1) + "…" : clean;
  };
  // Text of others inside a line of ours.
  const isolated = (text, longest = 300) => el("bdi", { text: plain(text, longest) });

  function number(value, digits) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const places = digits ?? (Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 3);
    return value.toFixed(places).replace("-", "−");
  }
  const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);
  // Decimals of a column: those of its largest value.
  function places(values) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
    return largest >= 1000 ? 0 : largest >= 10 ? 1 : 3;
  }
  function interval(estimate, given) {
    if (!estimate) return "–";
    const [value, low, high] = estimate;
    const digits = given ?? places([value]);
    return value === null ? "–" : `${number(value, digits)} ${bounds(low, high, (one) => number(one, digits))}`;
  }
  // Bounds as they stand beside a value, or that it has none.
  const UNBOUNDED = "(no interval)";
  const known = (one) => one !== null && one !== undefined && Number.isFinite(one);
  const bounds = (low, high, show = signed) => (known(low) && known(high) ? `[${show(low)}, ${show(high)}]` : UNBOUNDED);

  let names = null;
  try { names = new Intl.DisplayNames(["en"], { type: "language" }); } catch { /* old browsers show tags */ }
  function language(tag) {
    if (tag === "macro") return "Macro-average";
    try { return marked(tag, plain(names?.of(tag) ?? tag)); } catch { return marked(tag, plain(tag)); }
  }
  // Languages in which the board's scorer is no better than chance, or not validated, carry a mark wherever they stand.
  let marks = {};
  const marked = (tag, text = tag) => (Object.hasOwn(marks, tag) ? `${text} ${marks[tag]}` : text);
  function judged(board, index) {
    marks = board?.marks ?? {};
    const note = document.getElementById("worth");
    if (!note || !board) return;
    const there = new Set(Object.values(marks));
    const told = Object.entries(index.footnotes).filter(([mark]) => there.has(mark)).map(([mark, words]) => ` ${mark} ${words}.`);
    note.replaceChildren(isolated(board.worth, 600), `.${told.join("")} `,
      el("a", { href: "scorers.html", text: "What scorers are worth" }), ".");
  }
  const rightToLeft = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku", "ps", "sd", "syr", "ug", "ur", "yi"]);
  const direction = (tag) => (rightToLeft.has(String(tag).toLowerCase().split(/[-_]/)[0]) ? "rtl" : "ltr");

  // The state of a view is the address's fragment: it works for files and servers alike.
  const state = new URLSearchParams(location.hash.slice(1));
  function remember(entries) {
    for (const [name, value] of Object.entries(entries)) {
      if (value === null || value === undefined || value === "") state.delete(name);
      else state.set(name, value);
    }
    history.replaceState(null, "", `#${state}`);
    keepBoard();
  }
  // Links to other pages keep the board.
  function keepBoard() {
    for (const link of document.querySelectorAll("a[data-keep]")) {
      const [file] = link.getAttribute("href").split("#");
      link.setAttribute("href", state.get("board") ? `${file}#board=${encodeURIComponent(state.get("board"))}` : file);
    }
  }

  // Where the menu is wider than the screen it opens at the page's own entry.
  const current = document.querySelector(".top nav [aria-current]"), menu = current?.closest("ul");
  if (menu) menu.scrollLeft = current.offsetLeft - menu.offsetLeft - (menu.clientWidth - current.offsetWidth) / 2;

  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const onTheme = [];
  const repaint = () => onTheme.forEach((call) => call());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  document.getElementById("theme")?.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try { localStorage.setItem("detoxbench-theme", chosen); } catch { /* see theme.js */ }
    repaint();
  });
  // What something means, beside it: by pointer, by focus, by touch. Text only.
  let box = null;
  function tip(node, x, y) {
    box ??= document.body.appendChild(el("div", { class: "tip", role: "tooltip" }));
    box.hidden = !node;
    if (!node) return;
    box.replaceChildren(node);
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(8, y + height + 8 > innerHeight ? y - height - 28 : y)}px`;
  }
  function tipOf(event) {
    const target = event.target.closest?.("[data-tip]");
    if (!target) { if (event.type !== "focusin") tip(null); return; }
    const { left, bottom } = target.getBoundingClientRect();
    tip(document.createTextNode(plain(target.dataset.tip, 400)), left, bottom + 6);
  }
  for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, tipOf);
  document.addEventListener("focusout", () => tip(null));
  document.addEventListener("scroll", () => tip(null), { passive: true, capture: true });
  // A menu closes when one clicks elsewhere or presses Escape.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    tip(null);
    for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  addEventListener("hashchange", () => {
    const asked = location.hash.slice(1);
    if (asked.includes("=") && asked !== state.toString()) location.reload();
  });

  async function copy(text, button) {
    const before = button.textContent;
    try { await navigator.clipboard.writeText(text); } catch {
      const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  function fail(error) {
    const main = document.getElementById("main");
    main.prepend(el("p", { class: "error", role: "alert", text: `This page could not be shown: ${plain(error.message, 300)}` }));
    console.error(error);
  }

  return { put, load, el, visible, plain, isolated, number, signed, interval, bounds, UNBOUNDED, places, tip, language, marked, judged, direction, state, remember,
    dark, onTheme, copy, fail, keepBoard };
})();
