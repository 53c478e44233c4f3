export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  // Ticks that Python has not confirmed yet, so that fast ticking loses none.
  const pending = (parentElement.pendingTicks ??= new Map());
  const confirmed = new Set(data.picked);
  for (const [id, on] of pending) if (confirmed.has(id) === on) pending.delete(id);
  const isPicked = (id) => pending.get(id) ?? confirmed.has(id);

  function tick(card, on) {
    pending.set(card.id, on);
    const picked = data.cards.map((c) => c.id).filter(isPicked);
    parentElement.tickNumber = (parentElement.tickNumber ?? Date.now()) + 1;
    setStateValue("ticks", { shown: data.cards.map((c) => c.id), picked, number: parentElement.tickNumber });
  }

  function face(card) {
    const parts = [];
    if (card.text.length) {
      const text = make("div", "excerpt user");
      text.dir = "auto";
      text.append(words(card.text));
      parts.push(text);
    }
    if (card.row.length) {
      const table = make("table");
      for (const cells of card.row) {
        const line = make("tr");
        for (const cell of cells) line.append(make("td", "user", cell));
        table.append(line);
      }
      parts.push(table);
    }
    return parts;
  }

  function top(card, item) {
    const line = make("div", "top");
    const key = make("button", "key user", card.key);
    key.type = "button";
    key.dataset.focus = `open-${card.id}`;
    line.append(key);
    if (data.tickable) {
      // A button and not an input: the page's shortcuts do not fire from within an input.
      const box = make("button", "tick");
      const show = (on) => {
        box.setAttribute("aria-checked", String(on));
        box.textContent = on ? "✓" : "";
        item.classList.toggle("picked", on);
      };
      box.type = "button";
      box.setAttribute("role", "checkbox");
      show(isPicked(card.id));
      box.dataset.focus = `tick-${card.id}`;
      box.setAttribute("aria-label", `Tick ${card.key}`);
      box.title = "Tick to refit without it";
      box.addEventListener("click", (event) => {
        event.stopPropagation();
        const on = box.getAttribute("aria-checked") !== "true";
        show(on);
        tick(card, on);
      });
      line.append(box);
    }
    return line;
  }

  function facts(card) {
    const line = make("div", "facts");
    line.append(make("span", "user", card.label));
    if (card.badge) line.append(make("span", card.same ? "badge same" : "badge", (card.same ? "● " : "○ ") + card.badge));
    return line;
  }

  function measured(card) {
    if (!card.rank) return [make("div", "small user", card.score)];
    const bar = make("div", "bar");
    const fill = make("div", data.side);
    fill.style.width = `${Math.max(0, Math.min(1, card.width)) * 100}%`;
    bar.append(fill);
    return [make("div", "small", `rank ${card.rank} · ${card.share}`), bar, make("div", "small", card.score)];
  }

  function item(card) {
    const li = make("li");
    li.dataset.id = card.id;
    if (card.picture) {
      const image = make("img");
      image.src = card.picture;
      image.alt = `${data.noun} ${card.key}`;
      li.append(image);
    }
    const body = make("div", "body");
    body.append(top(card, li), facts(card), ...face(card), ...measured(card));
    if (card.flag) body.append(make("div", "small", `⚑ ${card.flag}`));
    li.append(body);
    li.addEventListener("click", () => setTriggerValue("open", card.id));
    return li;
  }

  const parts = [];
  if (data.title) {
    const head = make("h3");
    if (data.side) head.append(sign(data.side));
    head.append(make("span", "user", data.title), make("span", "count", data.note));
    parts.push(head);
  }
  if (data.cards.length) {
    const list = make("ol");
    list.setAttribute("aria-label", data.title || data.noun);
    list.append(...data.cards.map(item));
    parts.push(list);
  } else parts.push(make("div", "empty", data.empty));
  redraw(parentElement, parts);
}
