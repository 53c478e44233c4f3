// A table that is drawn anew starts at its first row; scroll the chosen row into sight once, after it is there.
export default function ({ data, parentElement }) {
  if (parentElement.revealed === data.name) return;
  parentElement.revealed = data.name;
  const until = performance.now() + 1500;
  let stopped = false;
  const stop = () => (stopped = true);
  for (const kind of ["wheel", "pointerdown", "keydown"]) document.addEventListener(kind, stop, { once: true });
  const timer = setInterval(() => {
    const table = document.querySelector(".st-key-test-list .dvn-scroller");
    if (table && table.scrollTop === 0 && !stopped) table.scrollTop = data.top;
    if (stopped || performance.now() > until) clearInterval(timer);
  }, 60);
  return () => clearInterval(timer);
}
