// What is shown, for papers: LaTeX with booktabs, Markdown, and the references of the methods in BibTeX.
"use strict";
detoxbench.exports = (() => {
  const { plain } = detoxbench;
  const TEX = { "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", $: "\\$", "&": "\\&", "#": "\\#", _: "\\_", "%": "\\%", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "×": "$\\times$", "−": "$-$", "↑": "$\\uparrow$", "↓": "$\\downarrow$", "–": "--" };
  const tex = (text) => plain(text, 200).replace(/[\\{}$&#_%~^<>×−↑↓–]/g, (sign) => TEX[sign]);
  const cell = (text) => plain(text, 200).replace(/[\\|<>`*_[\]]/g, "\\$&");

  // Headings and rows of text; the first two columns are names.
  function latex({ headings, rows, caption }) {
    const line = (cells) => `    ${cells.map(tex).join(" & ")} \\\\`;
    return ["% \\usepackage{booktabs}", "\\begin{table}", "  \\centering", `  \\caption{${tex(caption)}}`,
      `  \\begin{tabular}{ll${"r".repeat(Math.max(0, headings.length - 2))}}`, "    \\toprule", line(headings), "    \\midrule",
      ...rows.map(line), "    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""].join("\n");
  }
  function markdown({ headings, rows, caption }) {
    const line = (cells) => `| ${cells.map(cell).join(" | ")} |`;
    return [line(headings), `|${headings.map((_, place) => (place < 2 ? " --- |" : " ---: |")).join("")}`, ...rows.map(line), "", cell(caption), ""].join("\n");
  }
  function bibtex(methods, references) {
    const found = [...new Set(methods)].map((name) => references[name]).filter(Boolean);
    return found.length ? `${[...new Set(found)].join("\n\n")}\n` : "% No method that is shown here has a reference.\n";
  }
  return { latex, markdown, bibtex };
})();
