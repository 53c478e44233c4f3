// What follows a part must not move when the part gets lower: it keeps the height it had at rest under the same name.
const REST = 400; // milliseconds without a change, so that what is only half drawn is not kept

export default function ({ data, parentElement }) {
  const isNew = parentElement.held !== data.name;
  parentElement.held = data.name;
  const parts = data.parts.map((key) => document.querySelector(`.st-key-${key}`)).filter(Boolean);
  if (isNew) for (const part of parts) part.style.minHeight = "";
  const widths = new Map(parts.map((part) => [part, part.clientWidth]));
  let timer;
  function keep() {
    if (!document.querySelector("[data-test-script-state=notRunning]")) return later();
    for (const part of parts) part.style.minHeight = `${part.getBoundingClientRect().height}px`;
  }
  function later() {
    clearTimeout(timer);
    timer = setTimeout(keep, REST);
  }
  const observer = new ResizeObserver(() => {
    for (const part of parts) {
      if (widths.get(part) !== part.clientWidth) part.style.minHeight = ""; // another window: measured anew
      widths.set(part, part.clientWidth);
    }
    later();
  });
  for (const part of parts) observer.observe(part);
  return () => {
    clearTimeout(timer);
    observer.disconnect();
  };
}
