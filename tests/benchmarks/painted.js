// window.painted resolves with the milliseconds from the next press of the mouse button to the frame after the one
// in which everything on the page is the expected prediction's.
({ id, decks, keys }) => {
  const ids = (side) => {
    const found = [];
    const look = (root) => {
      for (const item of root.querySelectorAll("li[data-id]")) found.push(Number(item.dataset.id));
      for (const inner of root.querySelectorAll("*")) if (inner.shadowRoot) look(inner.shadowRoot);
    };
    const deck = document.querySelector(`.st-key-deck-${side}`);
    if (deck) look(deck);
    return found;
  };
  const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
  const charts = () => [...document.querySelectorAll("[class*='st-key-distribution-']")];
  const missing = () => {
    if (new URL(location.href).searchParams.get("test") !== String(id)) return "address";
    if (!document.querySelector(".st-key-chosen")?.innerText.includes(`test ${id}\n`)) return "chosen example";
    if (!same(ids("positive"), decks[0])) return `helpful cards ${ids("positive")} instead of ${decks[0]}`;
    if (!same(ids("negative"), decks[1])) return `harmful cards ${ids("negative")} instead of ${decks[1]}`;
    const chart = charts();
    if (chart.length !== 1 || !chart[0].className.includes(`-${id}-`)) return "chart";
    const marked = (chart[0].querySelector(".js-plotly-plot")?.data ?? []).flatMap((trace) => trace.text ?? []);
    if (!keys.every((key) => marked.some((text) => text.startsWith(`${key}:`)))) return "chart's data";
    if (!chart[0].querySelector(".scatterlayer path.js-line")) return "chart's lines";
    if (!chart[0].querySelector(".scatterlayer path.point")) return "chart's marks";
    if (document.querySelector("[data-testid='stApp']").dataset.testScriptState !== "notRunning") return "script's end";
    return "";
  };
  window.painted = new Promise((resolve, reject) => {
    const pressed = () => {
      const started = performance.now();
      const look = () => {
        const lacks = missing();
        if (!lacks) requestAnimationFrame(() => resolve(performance.now() - started));
        else if (performance.now() - started > 20000) reject(new Error(`test ${id} was not painted: ${lacks}`));
        else requestAnimationFrame(look);
      };
      look();
    };
    document.addEventListener("pointerdown", pressed, { once: true, capture: true });
  });
}
