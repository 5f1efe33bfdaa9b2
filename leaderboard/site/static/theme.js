// Loaded in the head, so that the page is never painted in the wrong colours.
"use strict";
(() => {
  document.documentElement.classList.add("js"); // what needs scripts is hidden without it
  let chosen = null;
  try { chosen = localStorage.getItem("detoxbench-theme"); } catch { /* no storage for pages opened as files */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
