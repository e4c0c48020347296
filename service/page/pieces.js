// Small pieces that several views show: states, verdicts, problems, lines to copy.

import { download } from "./api.js";
import { el, fill } from "./dom.js";

const SIGNS = { pass: "✓", fail: "✕", inconclusive: "?", succeeded: "✓", failed: "✕", cancelled: "–", queued: "…", running: "▸" };

/** A state or a verdict: a word and a sign, so that neither needs its colour. */
export function badge(word) {
  return el("span", { class: `badge ${word}` }, el("span", { "aria-hidden": "true" }, SIGNS[word] ?? ""), ` ${word}`);
}

/** What went wrong, what to do, and where more is said about it. */
export function problemBox(problem, again = null) {
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("strong", {}, problem.title ?? "Something went wrong on this page"),
    el("p", {}, problem.detail ?? String(problem.message ?? problem)),
    el(
      "p",
      { class: "row" },
      problem.type && el("a", { href: problem.type }, "What this means"),
      again && el("button", { type: "button", class: "plain", onclick: again }, "Try again"),
    ),
  );
}

/** A line for a shell, with a button that copies it. */
export function line(name, text) {
  const button = el("button", { type: "button", class: "plain", "aria-label": `Copy: ${name}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return el(
    "div",
    { class: "line" },
    el("div", { class: "row" }, el("span", { class: "hint" }, name), navigator.clipboard && button),
    el("pre", { tabindex: 0, "aria-label": name }, el("code", {}, text)),
  );
}

/** A section with a heading. */
export function card(title, ...children) {
  return el("section", { class: "card" }, title && el("h2", {}, title), children);
}

/** Names and values, one a line. */
export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note && el("span", { class: "hint" }, ` ${note}`)))));
}

/** Buttons that save one thing as files of several kinds. addresses: by kind, such as csv. name: of the files. */
export function files(what, addresses, name) {
  const said = el("div", {});
  const save = ([kind, address]) =>
    el("button", { type: "button", class: "plain", "aria-label": `Save ${what} as ${kind.toUpperCase()}`, onclick: () => download(address, `${name}.${kind}`).catch((error) => fill(said, problemBox(error))) }, kind.toUpperCase());
  return el("div", {}, el("div", { class: "row actions" }, Object.entries(addresses).map(save)), said);
}
