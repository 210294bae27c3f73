"use strict";
(() => {
  const data = JSON.parse(document.getElementById("records-data").textContent);
  const table = document.getElementById("record-table");
  if (!table) return;

  const ROWS_A_PAGE = 100;
  const LONGEST_TEXT = 120;
  const shown = data.columns.map((column, index) => ({ ...column, index })).filter((column) => column.heading);
  const texts = data.rows.map((row) => row.filter((value) => value !== null).join(" ").toLowerCase());
  const filter = document.getElementById("filter");
  let chosen = data.rows.map((_, index) => index);
  let sorted = { column: null, ascending: true };
  let page = 0;

  const asNumber = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);

  function displayed(column, value) {
    if (value === null) return "";
    if (!column.number) {
      const text = String(value);
      return text.length > LONGEST_TEXT ? text.slice(0, LONGEST_TEXT - 1) + "…" : text;
    }
    const number = asNumber(value);
    if (!Number.isFinite(number)) return column.name.startsWith("iterations") ? "not reached" : "∞";
    if (column.name.endsWith("accuracy")) return number.toFixed(3);
    if (Number.isInteger(number) && Math.abs(number) < 1e6) return String(number);
    return Math.abs(number) >= 1e5 || (number !== 0 && Math.abs(number) < 1e-3) ? number.toExponential(2) : String(Number(number.toPrecision(4)));
  }

  function compare(column, first, second) {
    if (first === null || second === null) return first === second ? 0 : null;
    if (column.number) {
      const [left, right] = [asNumber(first), asNumber(second)];
      return left < right ? -1 : left > right ? 1 : 0;
    }
    return String(first).localeCompare(String(second), "en", { numeric: true });
  }

  function choose() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    chosen = data.rows.map((_, index) => index).filter((index) => words.every((word) => texts[index].includes(word)));
    if (sorted.column !== null) {
      const column = shown[sorted.column];
      const sign = sorted.ascending ? 1 : -1;
      chosen.sort((first, second) => {
        const values = [data.rows[first][column.index], data.rows[second][column.index]];
        const order = compare(column, ...values);
        if (order === null) return values[0] === null ? 1 : -1; // what was not measured comes last in either direction
        return order === 0 ? first - second : sign * order;
      });
    }
    page = 0;
    show();
  }

  function show() {
    const pages = Math.max(1, Math.ceil(chosen.length / ROWS_A_PAGE));
    const body = document.createElement("tbody");
    for (const index of chosen.slice(page * ROWS_A_PAGE, (page + 1) * ROWS_A_PAGE)) {
      const line = body.insertRow();
      for (const column of shown) {
        const value = data.rows[index][column.index];
        const cell = line.insertCell();
        const name = document.createElement("bdi");
        name.textContent = displayed(column, value);
        cell.append(name);
        if (column.number) cell.className = "n";
        else if (column.name === "reason") cell.className = "long";
        if (column.name === "status" && value !== "ok") cell.classList.add("not-ok");
      }
    }
    table.tBodies[0].replaceWith(body);
    document.getElementById("shown").textContent = `${chosen.length} of ${data.rows.length} records`;
    document.getElementById("page").textContent = `page ${page + 1} of ${pages}`;
    document.getElementById("previous").disabled = page === 0;
    document.getElementById("next").disabled = page + 1 >= pages;
  }

  function buildHead() {
    const line = table.tHead.insertRow();
    shown.forEach((column, position) => {
      const head = document.createElement("th");
      head.scope = "col";
      if (column.number) head.className = "n";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.heading;
      button.addEventListener("click", () => {
        sorted = { column: position, ascending: sorted.column === position ? !sorted.ascending : true };
        for (const other of line.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", sorted.ascending ? "ascending" : "descending");
        choose();
      });
      head.append(button);
      line.append(head);
    });
  }

  // A spreadsheet takes a text that begins with = + - @ (also in full width, also after white space) for a formula: an apostrophe in
  // front makes it a text again. A plain number such as -0.5 is no formula.
  const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  function csvField(column, value) {
    if (value === null) return "";
    let text = String(value);
    if (!column.number && FORMULA.test(text) && !NUMBER.test(text)) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  }

  function csvText() {
    const lines = [data.columns.map((column) => csvField({ number: false }, column.name)).join(",")];
    for (const index of chosen) lines.push(data.rows[index].map((value, position) => csvField(data.columns[position], value)).join(","));
    return lines.join("\r\n") + "\r\n";
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvText()], { type: "text/csv;charset=utf-8" }));
    link.download = "skipbench-records.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  buildHead();
  filter.addEventListener("input", choose);
  document.getElementById("download").addEventListener("click", download);
  document.getElementById("previous").addEventListener("click", () => { page -= 1; show(); });
  document.getElementById("next").addEventListener("click", () => { page += 1; show(); });
  choose();
})();
