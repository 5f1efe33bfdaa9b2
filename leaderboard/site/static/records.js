// A run's record as it was written, from data/r-ID.js: see packing.py, which packs it.
"use strict";
detoxbench.records = (() => {
  const { load } = detoxbench;
  const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const LEAST = 1000, MANTISSAS = 9000;
  const unpacked = new Map();

  // Counts of one character, or four-digit decimals of two bytes; by division where they are below 1, which rounds as
  // reading the decimal does.
  function numbers(packed) {
    if (Array.isArray(packed)) return packed;
    if (packed[0] === "c") return Array.from(packed.slice(1), (sign) => SIGNS.indexOf(sign));
    const [head, body] = packed.slice(1).split(":");
    const least = Number(head), bytes = atob(body), found = new Array(bytes.length / 2);
    for (let place = 0; place < found.length; place += 1) {
      const code = bytes.charCodeAt(2 * place) * 256 + bytes.charCodeAt(2 * place + 1) - 1;
      const whole = LEAST + (code % MANTISSAS), exponent = least + Math.floor(code / MANTISSAS);
      found[place] = code < 0 ? 0 : exponent < 0 ? whole / 10 ** -exponent : whole * 10 ** exponent;
    }
    return found;
  }

  function unpack({ run, metrics, tasks, columns, ...rest }) {
    const found = tasks.map((task) => {
      const docs = Array.isArray(task.docs) ? task.docs : Array.from({ length: task.docs }, (_, place) => place);
      const estimates = metrics.map((name, place) => [name, task.metrics[place]]).filter(([, estimate]) => estimate !== null);
      return { ...task, run: { ...run, ...task.run }, metrics: Object.fromEntries(estimates), docs, columns: {} };
    });
    for (const [name, column] of Object.entries(columns)) {
      const all = numbers(column.n), under = column.d && numbers(column.d);
      let start = 0;
      (column.in ?? found.map((_, place) => place)).forEach((place, at) => {
        const end = start + found[place].docs.length;
        found[place].columns[name] = { numerators: all.slice(start, end), denominators: under ? under.slice(start, end) : column.each[at] };
        start = end;
      });
    }
    return { ...rest, tasks: found };
  }

  // What data/r-ID.js has, its record unpacked once.
  async function records(id) {
    const { extra, record } = await load(`r-${id}`);
    if (!unpacked.has(id)) unpacked.set(id, unpack(record));
    return { extra, record: unpacked.get(id) };
  }
  return Object.assign(records, { numbers });
})();
