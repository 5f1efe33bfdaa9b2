// Samples: loaded when asked for, blurred until asked for once more. Text is text, whatever it holds.
"use strict";
// `there`: language -> number of pages.
detoxbench.samples = (id, there, languages) => {
  const { el, load, visible, number, language, direction } = detoxbench;
  const byId = (name) => document.getElementById(name);
  const FIRST = 5, LONG = 600;
  if (!Object.keys(there).length) {
    byId("warning").replaceChildren("This site was built without the samples of this run.");
    return;
  }

  // A text in its own direction; the end of a long one is shown on request.
  function text(content, tag, kind) {
    const [whole, length] = Array.isArray(content) ? content : [content, content.length];
    const node = el("bdi", { class: kind, lang: tag, text: visible(whole.slice(0, LONG)) });
    if (length <= LONG) return [node];
    const more = el("button", { type: "button", class: "quiet", text: `… ${length.toLocaleString("en")} characters`, onclick: () => {
      node.textContent = visible(whole) + (length > whole.length ? " […]" : "");
      more.remove();
    } });
    return [node, more];
  }

  function continuation([content, score], prompt, tag) {
    const body = el("p", { class: "text veiled", dir: direction(tag), lang: tag, "aria-hidden": "true" }, ...text(prompt, tag, "prompt"), ...text(content, tag, "generated"));
    body.inert = true;
    const button = el("button", { type: "button", class: "reveal", text: "Unblur", "aria-label": "Unblur this continuation", onclick: () => unveil(item) });
    const item = el("li", {}, body, el("div", { class: "aside" }, el("span", { class: `score${score !== null && score >= 0.5 ? " toxic" : ""}`, text: score === null ? "unscored" : `score ${number(score)}` }), button));
    return item;
  }
  function unveil(item) {
    const body = item.querySelector(".text");
    body.classList.remove("veiled");
    body.removeAttribute("aria-hidden");
    body.inert = false;
    const button = item.querySelector(".reveal");
    if (button === document.activeElement) { body.tabIndex = -1; body.focus(); }
    button?.remove();
  }

  function list(samples, tag, first) {
    byId("all").setAttribute("aria-pressed", "false");
    byId("list").start = first;
    byId("list").replaceChildren(...samples.map(({ prompt, score, generations }, place) => {
      const items = generations.map((one) => continuation(one, prompt, tag));
      const shown = el("ol", {}, ...items.slice(0, FIRST));
      const more = items.length > FIRST ? el("button", { type: "button", class: "quiet", text: `${items.length - FIRST} more continuations`, onclick: () => { shown.append(...items.slice(FIRST)); if (byId("all").getAttribute("aria-pressed") === "true") items.slice(FIRST).forEach(unveil); more.remove(); } }) : null;
      return el("li", { class: "sample" }, el("h3", { text: `Prompt ${first + place}` }, score === null ? "" : el("small", { text: ` prompt score ${number(score)}` })), shown, more);
    }));
  }

  byId("show").onclick = async () => {
    try {
      const tags = languages.filter((tag) => there[tag]);
      let first = 1;
      async function page(tag, number = 1) {
        if (number === 1) first = 1;
        const samples = await load(`s-${id}-${tag}${number > 1 ? `.${number}` : ""}`);
        list(samples, tag, first);
        byId("more").hidden = there[tag] <= 1;
        byId("where").textContent = `Prompts ${first} to ${first + samples.length - 1}, page ${number} of ${there[tag]}`;
        byId("next").textContent = number < there[tag] ? "Next prompts" : "Back to the first";
        byId("next").onclick = () => {
          first = number < there[tag] ? first + samples.length : 1;
          page(tag, number < there[tag] ? number + 1 : 1).then(() => byId("language").scrollIntoView()).catch(detoxbench.fail);
        };
      }
      detoxbench.view.options(byId("language"), tags.map((tag) => [tag, language(tag)]), detoxbench.state.get("lang") ?? (tags.includes("en") ? "en" : tags[0]));
      byId("language").onchange = ({ target }) => { detoxbench.remember({ lang: target.value }); page(target.value).catch(detoxbench.fail); };
      byId("all").onclick = ({ target }) => {
        target.setAttribute("aria-pressed", "true");
        byId("list").querySelectorAll(".sample ol > li").forEach(unveil);
      };
      await page(byId("language").value);
      byId("samples").hidden = false;
      byId("show").closest("p").remove();
      byId("language").focus();
    } catch (error) { detoxbench.fail(error); }
  };
};
