function difference(row) {
  const change = make("span", "change");
  if (row.symbol === "▲" || row.symbol === "▼") {
    const mark = sign(row.symbol === "▲" ? "positive" : "negative");
    mark.setAttribute("class", row.symbol === "▲" ? "up" : "down");
    change.append(mark, make("span", "", row.said.slice(2)));
  } else change.append(make("span", "", row.said));
  const last = make("td");
  last.append(change);
  return last;
}

export default function ({ data, parentElement }) {
  const table = make("table");
  const head = make("tr");
  for (const title of data.titles) {
    const cell = make("th", "user", title);
    cell.scope = "col";
    head.append(cell);
  }
  table.append(head);
  const cell = (text) => make("td", text === "missing" ? "user missing" : "user", text);
  for (const row of data.rows) {
    const line = make("tr");
    line.append(cell(row.column), cell(row.value));
    if ("other" in row) line.append(cell(row.other));
    if ("said" in row) line.append(difference(row));
    table.append(line);
  }
  const scroll = make("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", data.label);
  scroll.append(table);
  redraw(parentElement, [scroll]);
}
