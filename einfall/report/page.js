"use strict";
(async () => {
  const given = document.getElementById("record").textContent;
  const unpacked = async (text) => {
    const held = JSON.parse(text);
    if (held.encoding !== "gzip+base64") return text;
    const bytes = Uint8Array.from(atob(held.data), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  let kept = null;
  const text = () => (kept ??= unpacked(given));
  const record = async () => JSON.parse(await text());
  const at = (value, path) => path.reduce((v, step) => (v == null ? undefined : v[step]), value);

  // What `number` and `plain` in page_tables.py write.
  const grouped = (x) => Math.round(x).toLocaleString("en-US");
  const number = (x) => {
    const size = Math.abs(x);
    if (size < 1e15 && (Number.isInteger(x) || size >= 1000)) return grouped(x);
    const short = Number(x.toPrecision(4));
    if (!size || (size >= 1e-4 && size < 1e15)) return String(short);
    return short.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  };
  const plain = (v) => {
    if (v == null) return "";
    if (typeof v === "boolean") return v ? "yes" : "no";
    if (typeof v === "number") return number(v);
    if (Array.isArray(v)) return v.map(plain).join(", ");
    if (typeof v === "object") return Object.entries(v).map(([k, x]) => [k, plain(x)]).filter(([, x]) => x).map(([k, x]) => k + " " + x).join(", ");
    return String(v);
  };

  const wait = new WeakMap();
  const fill = (table) => {
    if (!wait.has(table)) wait.set(table, filled(table));
    return wait.get(table);
  };
  const filled = async (table) => {
    if (!table.dataset.columns) return;
    const columns = JSON.parse(table.dataset.columns);
    const rows = at(await record(), JSON.parse(table.dataset.path));
    const body = table.tBodies[0];
    for (const row of rows.slice(body.rows.length)) {
      const line = document.createElement("tr");
      for (const [path, scale, right] of columns) {
        const cell = line.insertCell(), value = at(row, path);
        cell.textContent = typeof value === "number" && scale ? number(value * scale) : plain(value);
        if (right) cell.className = "n";
      }
      body.append(line);
    }
    table.closest(".table").querySelector(".left").hidden = true;
  };

  const key = (row, i, numeric) => {
    const cell = row.cells[i].textContent;
    return numeric ? (cell === "" ? NaN : parseFloat(cell.replaceAll(",", ""))) : cell;
  };
  const sort = async (head) => {
    const table = head.closest("table"), i = head.cellIndex, numeric = head.classList.contains("n");
    await fill(table);
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const names = new Intl.Collator("en", { numeric: true });
    const rows = [...table.tBodies[0].rows].map((row) => [key(row, i, numeric), row]);
    rows.sort(([a], [b]) => {
      if (!numeric) return a === "" || b === "" ? (a === "") - (b === "") : sign * names.compare(a, b);
      return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : sign * (a - b);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
    for (const th of table.tHead.rows[0].cells) th.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  };

  const quoted = (v) => {
    const cell = v == null ? "" : typeof v === "object" ? JSON.stringify(v) : String(v);
    return /[",\n\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;
  };
  const csv = async (table) => {
    if (!table.dataset.path)
      return [...table.rows].map((row) => [...row.cells].map((c) => quoted(c.textContent)).join(",")).join("\n") + "\n";
    const found = at(await record(), JSON.parse(table.dataset.path));
    const rows = Array.isArray(found) ? found : Object.entries(found).map(([name, v]) =>
      v !== null && typeof v === "object" && !Array.isArray(v) ? { name, ...v } : { name, value: v });
    const columns = [...new Set(rows.flatMap(Object.keys))];
    return [columns, ...rows.map((row) => columns.map((c) => row[c]))].map((r) => r.map(quoted).join(",")).join("\n") + "\n";
  };
  const offer = (link, kind, make) => {
    link.addEventListener("click", async (event) => {
      if (link.dataset.ready) return;
      event.preventDefault();
      link.href = "data:" + kind + ";charset=utf-8," + encodeURIComponent(await make());
      link.dataset.ready = "yes";
      link.click();
    });
  };

  const json = document.getElementById("json");
  json.parentElement.hidden = false;
  offer(json, "application/json", text);
  for (const table of document.querySelectorAll("table")) {
    for (const button of table.querySelectorAll("th button"))
      button.addEventListener("click", () => sort(button.closest("th")));
    const all = table.closest(".table").querySelector("button.all");
    if (all) {
      all.hidden = false;
      all.addEventListener("click", () => fill(table));
    }
    const link = document.createElement("a");
    link.href = "#record";
    link.className = "tool";
    link.download = table.caption.textContent.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_") + ".csv";
    link.textContent = "CSV";
    link.setAttribute("aria-label", "CSV of " + table.caption.textContent);
    offer(link, "text/csv", () => csv(table));
    table.closest(".table").append(link);
  }
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
