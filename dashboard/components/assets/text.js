export default function ({ data, parentElement }) {
  const box = make("div", "box user");
  box.dir = "auto";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", data.label);
  box.append(words(data.segments));
  redraw(parentElement, data.note ? [box, make("div", "note", data.note)] : [box]);
}
