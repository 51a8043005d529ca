"use strict";

// Sliders: how much of the picture before is shown.
for (const slide of document.querySelectorAll(".slide")) {
  const stage = slide.parentElement;
  const move = () => {
    stage.style.setProperty("--cut", slide.value + "%");
    slide.setAttribute("aria-valuetext", slide.value + " % before");
  };
  slide.addEventListener("input", move);
  move();
}

// Views: slider, side by side, difference.
for (const choice of document.querySelectorAll(".views input")) {
  const section = choice.closest(".pictures");
  const show = () => { if (choice.checked) section.dataset.view = choice.value; };
  choice.addEventListener("change", show);
  show();
}

// Tables: a click on a column's head sorts, another one turns the order around.
const words = new Intl.Collator("en", { numeric: true });
const keyOf = (row, column) => {
  const cell = row.cells[column];
  return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent;
};
const compare = (a, b) => {
  if (typeof a === "string") return words.compare(a, b);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return a < b ? -1 : a > b ? 1 : 0;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.scope = "col";
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const body = table.tBodies[0];
      // Of numbers the largest are looked for, of names the first.
      const first = head.classList.contains("n") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      const sign = order === "ascending" ? 1 : -1;
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
      rows.sort((a, b) => sign * compare(a.key, b.key));
      body.replaceChildren(...rows.map((entry) => entry.row));
    });
  });
}

// The filter of the targets.
for (const field of document.querySelectorAll(".filter input")) {
  const part = field.closest("section");
  const rows = [...part.querySelectorAll(".filtered tbody tr")]
    .map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const count = part.querySelector("output");
  field.addEventListener("input", () => {
    const asked = field.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !asked.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    count.textContent = shown === rows.length ? rows.length + " targets" : shown + " of " + rows.length + " targets";
  });
}
