// Builds elements. Text is always set as text, never as HTML, so nothing of an upload can become part of the page.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `el("p", {class: "hint", onclick: f}, "text", other)`. Null and false children are left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...shown(children));
  return node;
}

function shown(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Put these children, and no others, into a node. */
export function fill(node, ...children) {
  node.replaceChildren(...shown(children));
  return node;
}

/** Read something out to who cannot see it change. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Resolves after a while; rejects when the view is left. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const left = () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", left);
      resolve();
    }, milliseconds);
    if (signal.aborted) left();
    else signal.addEventListener("abort", left, { once: true });
  });
}
