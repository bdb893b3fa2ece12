// Tables that are sorted by a click on a head: numbers from the greatest, names from the first.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const value = (row) => {
        const cell = row.cells[index];
        return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
      };
      const text = (row) => row.cells[index].textContent;
      const numbers = [...body.rows].some((row) => value(row) !== null);
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : !numbers;
      const rows = [...body.rows].sort((one, other) => {
        if (!numbers) return (up ? 1 : -1) * text(one).localeCompare(text(other), "en");
        const [first, second] = [value(one), value(other)];
        if (first === null || second === null) return (first === null) - (second === null);
        return (up ? 1 : -1) * (first - second);
      });
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
}
