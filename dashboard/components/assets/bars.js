export default function ({ data, parentElement }) {
  const table = make("table");
  table.setAttribute("aria-label", data.label);
  for (const row of data.rows) {
    const line = make("tr");
    const name = make("th", row.strong ? "user strong" : "user", row.name);
    name.scope = "row";
    const track = make("td", "track");
    const bar = make("div", "bar");
    const fill = make("div", row.side || "");
    fill.style.width = `${Math.max(0, Math.min(1, row.width)) * 100}%`;
    bar.append(fill);
    track.append(bar);
    line.append(name, track, make("td", "value user", row.value));
    table.append(line);
  }
  redraw(parentElement, [table]);
}
