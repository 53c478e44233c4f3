export default function ({ parentElement }) {
  const copy = make("button", "", "Copy link");
  copy.type = "button";
  copy.dataset.focus = "copy";
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(window.location.href);
      copy.textContent = "Copied ✓";
    } catch {
      copy.textContent = "Copy the address bar instead";
    }
    setTimeout(() => (copy.textContent = "Copy link"), 2000);
  });
  redraw(parentElement, [copy]);
}
