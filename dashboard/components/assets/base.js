// Shared by every component. Text of the data only ever enters through textContent.
function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function sign(side) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  shape.setAttribute("viewBox", "0 0 10 10");
  shape.setAttribute("class", `sign ${side}`);
  shape.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", side === "positive" ? "M5 0.5 L10 9.5 L0 9.5 Z" : "M0 0.5 L10 0.5 L5 9.5 Z");
  shape.append(path);
  return shape;
}

function words(segments) {
  const piece = document.createDocumentFragment();
  for (const [text, shared] of segments) piece.append(make(shared ? "mark" : "span", "", text));
  return piece;
}

function rootOf(parentElement) {
  let root = parentElement.querySelector(".root");
  if (!root) {
    root = make("div", "root");
    parentElement.append(root);
  }
  return root;
}

// Draw anew without taking the keyboard's focus away.
function redraw(parentElement, children) {
  const root = rootOf(parentElement);
  const focused = root.getRootNode().activeElement?.dataset?.focus;
  root.replaceChildren(...children);
  if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return root;
}
