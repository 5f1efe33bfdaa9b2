// Numbers, and a run's record as it was written, from what packing.py packs.
"use strict";
detoxbench.packing = (() => {
  const { load } = detoxbench;
  const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const WIDTHS = { d: [2, 1e3], e: [3, 1e5] };
  const unpacked = new Map();

  // Counts of one character, or decimals of two or three bytes; by division where they are below 1, which rounds as
  // reading the decimal does.
  function numbers(packed) {
    if (Array.isArray(packed)) return packed;
    if (packed[0] === "c") return Array.from(packed.slice(1), (sign) => SIGNS.indexOf(sign));
    const [width, first] = WIDTHS[packed[0]], [head, body] = packed.slice(1).split(":");
    const least = Number(head), bytes = atob(body), nothing = 256 ** width - 1;
    return Array.from({ length: bytes.length / width }, (_, place) => {
      let code = 0;
      for (let at = 0; at < width; at += 1) code = code * 256 + bytes.charCodeAt(width * place + at);
      if (code === 0) return 0;
      if (code === nothing) return null;
      const whole = first + ((code - 1) % (9 * first)), exponent = least + Math.floor((code - 1) / (9 * first));
      return exponent < 0 ? whole / 10 ** -exponent : whole * 10 ** exponent;
    });
  }
  // Values with their bounds, three numbers each; null where there is no value.
  function estimates(packed) {
    const found = numbers(packed);
    return Array.from({ length: found.length / 3 }, (_, place) => (found[3 * place] === null ? null : found.slice(3 * place, 3 * place + 3)));
  }

  function unpack({ run, metrics, tasks, columns, ...rest }) {
    const found = tasks.map((task) => {
      const docs = Array.isArray(task.docs) ? task.docs : Array.from({ length: task.docs }, (_, place) => place);
      return { ...task, run: { ...run, ...task.run }, metrics: {}, docs, columns: {} };
    });
    for (const [name, packed] of Object.entries(metrics)) {
      estimates(packed).forEach((estimate, place) => { if (estimate) found[place].metrics[name] = estimate; });
    }
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
  async function run(id) {
    const { extra, record } = await load(`r-${id}`);
    if (!unpacked.has(id)) unpacked.set(id, unpack(record));
    return { extra, record: unpacked.get(id) };
  }

  // What data/m-BOARD-METRIC.js has, its values [rows][languages] unpacked once.
  async function metric(board, name) {
    const key = `m-${board.id}-${name}`, shard = await load(key);
    if (!unpacked.has(key)) {
      const each = estimates(shard.values), width = board.languages.length;
      unpacked.set(key, { ...shard, values: Array.from({ length: each.length / width }, (_, place) => each.slice(place * width, (place + 1) * width)) });
    }
    return unpacked.get(key);
  }
  return { numbers, estimates, run, metric };
})();
