// Downloads of what is shown, made in the browser, and of the whole board, made when the site was.
"use strict";
detoxbench.downloads = (board, shown, index) => {
  const { el } = detoxbench;
  const sheet = document.getElementById("downloads");
  for (const link of sheet.querySelectorAll("a[data-file]")) link.href = `downloads/${link.dataset.file === "csv" ? board.csv : `board-${board.id}.parquet`}`;

  // Text that a spreadsheet would run as a formula gets an apostrophe before it.
  const cell = (value) => {
    if (value === null || typeof value === "number") return value === null ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const make = {
    csv: (rows) => [[Object.keys(rows[0] ?? {}).map(cell).join(","), ...rows.map((row) => Object.values(row).map(cell).join(","))].join("\r\n") + "\r\n", "text/csv"],
    json: (rows) => [JSON.stringify(rows, null, 1), "application/json"],
    parquet: (rows) => {
      const names = Object.keys(rows[0] ?? {});
      const columnData = names.map((name) => ({
        name, data: rows.map((row) => row[name]), nullable: true,
        type: ["model", "method", "variant", "run", "date"].includes(name) ? "STRING" : ["rank", "prompts", "samples"].includes(name) ? "INT32" : "DOUBLE",
      }));
      return [parquetWriter.parquetWriteBuffer({ columnData }), "application/vnd.apache.parquet"];
    },
    latex: (rows) => [detoxbench.exports.latex(printed(rows)), "application/x-tex"],
    markdown: (rows) => [detoxbench.exports.markdown(printed(rows)), "text/markdown"],
    bibtex: (rows) => [detoxbench.exports.bibtex(rows.map((row) => row.method), index.references), "application/x-bibtex"],
  };
  const ENDS = { latex: "tex", markdown: "md", bibtex: "bib" };
  // A row's numbers as the table shows them: one precision a column, the interval beside the value.
  function printed(rows) {
    const names = Object.keys(rows[0] ?? {}).filter((name) => /^\S+ \S+$/.test(name));
    const digits = Object.fromEntries(names.map((name) => [name, detoxbench.places(rows.map((row) => row[name]))]));
    const scopes = new Set(names.map((name) => name.split(" ")[1]));
    const title = (name) => { const [metric, scope] = name.split(" "); return detoxbench.view.title(index, metric) + (scopes.size > 1 ? ` (${detoxbench.language(scope)})` : ""); };
    return {
      headings: ["Method", "Model", "Rank", ...names.map(title), "Prompts × K"],
      rows: rows.map((row) => [row.variant ? `${row.method} (${row.variant})` : row.method, row.model, String(row.rank ?? "–"),
        ...names.map((name) => (row[name] === null ? "–" : detoxbench.interval([row[name], row[`${name} low`], row[`${name} high`]], digits[name]))),
        `${row.prompts} × ${row.samples}`]),
      caption: `${board.title}${board.mini ? " (embedded models only: nothing about real models)" : ""}. 95% intervals over prompts. detoxbench ${index.version}, ${index.built}.`,
    };
  }
  const library = () => (typeof parquetWriter !== "undefined" ? Promise.resolve() : new Promise((resolve, reject) => {
    document.head.append(el("script", { src: "static/vendored/hyparquet-writer.min.js", onload: resolve, onerror: reject }));
  }));
  for (const button of sheet.querySelectorAll("button[data-format]")) {
    button.onclick = async () => {
      const { format } = button.dataset;
      if (format === "parquet") await library();
      const [content, type] = make[format](shown());
      const address = URL.createObjectURL(new Blob([content], { type }));
      el("a", { href: address, download: `detoxbench-${board.id}.${ENDS[format] ?? format}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    };
  }

};
