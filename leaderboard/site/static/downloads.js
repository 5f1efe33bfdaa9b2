// Downloads of what is shown, made in the browser, and of the whole board, made when the site was.
"use strict";
detoxbench.downloads = (board, shown) => {
  const { el } = detoxbench;
  const sheet = document.getElementById("downloads");
  for (const link of sheet.querySelectorAll("a[data-file]")) link.href = `downloads/board-${board.id}.${link.dataset.file}`;

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
        type: ["model", "method", "variant", "run"].includes(name) ? "STRING" : name === "rank" ? "INT32" : "DOUBLE",
      }));
      return [parquetWriter.parquetWriteBuffer({ columnData }), "application/vnd.apache.parquet"];
    },
  };
  const library = () => (typeof parquetWriter !== "undefined" ? Promise.resolve() : new Promise((resolve, reject) => {
    document.head.append(el("script", { src: "static/vendored/hyparquet-writer.min.js", onload: resolve, onerror: reject }));
  }));
  for (const button of sheet.querySelectorAll("button[data-format]")) {
    button.onclick = async () => {
      const { format } = button.dataset;
      if (format === "parquet") await library();
      const [content, type] = make[format](shown());
      const address = URL.createObjectURL(new Blob([content], { type }));
      el("a", { href: address, download: `detoxbench-${board.id}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    };
  }

};
