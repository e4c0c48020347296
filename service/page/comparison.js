// Two evaluations held against each other: the difference with its interval, a verdict if asked for, both curves.

import { key, read } from "./api.js";
import { bar, range } from "./bars.js";
import { announce, el, fill } from "./dom.js";
import { names } from "./names.js";
import { badge, card, facts, files, line, problemBox } from "./pieces.js";
import { drawn } from "./result.js";
import { count, curl, interval, number, short } from "./words.js";

/** The view at `#/compare/BASELINE/CANDIDATE`. */
export async function comparison(main, signal, baseline, candidate) {
  const sides = await Promise.all([baseline, candidate].map((id) => read(`/v1/evaluations/${encodeURIComponent(id)}`, { signal })));
  const [before, after] = called(sides);
  document.title = `${after} against ${before} · Lesion`;
  const answer = el("div", {});
  const drop = el("input", { id: "max-drop", type: "number", min: 0, max: 10, step: "any", placeholder: "such as 0.02" });
  const shell = el("div", {});

  async function compare() {
    const asked = { baseline, candidate, ...(drop.value === "" ? {} : { max_drop: Number(drop.value) }) };
    fill(shell, card("From a shell", line("This comparison", curl("/v1/comparisons", asked, key.get()))));
    try {
      const found = await read("/v1/comparisons", { method: "POST", json: asked, signal });
      fill(answer, difference(found));
      announce([found.summary, found.verdict && `Verdict: ${found.verdict}.`].filter(Boolean).join(" "));
    } catch (error) {
      if (!signal.aborted) fill(answer, problemBox(error));
    }
  }

  const form = el(
    "form",
    { class: "row", onsubmit: (event) => (event.preventDefault(), compare()) },
    el("label", { for: "max-drop" }, "The score may drop by"),
    drop,
    el("button", { type: "submit" }, "Judge"),
  );
  const curves = sides.every((side) => side.result?.curve.length);
  fill(
    main,
    el("p", {}, el("a", { href: "#/" }, "← All evaluations")),
    el("div", { class: "heading" }, el("h1", {}, "Comparison"), el("a", { class: "button plain", href: `#/compare/${candidate}/${baseline}` }, "Swap the two")),
    el("div", { class: "columns even" }, side("Baseline", sides[0], before), side("Candidate", sides[1], after)),
    el("div", { class: "columns even" }, answer, card("Ask for a verdict", form)),
    curves && card("Both curves", saved(baseline, candidate), ...drawn(sides.map(({ result }, index) => ({ name: [before, after][index], result })))),
    shell,
  );
  await compare();
}

function saved(baseline, candidate) {
  const address = (kind) => `/v1/evaluations/${encodeURIComponent(candidate)}/comparison.${kind}?baseline=${encodeURIComponent(baseline)}`;
  return files("the comparison", { csv: address("csv"), svg: address("svg"), png: address("png") }, `comparison-${baseline}-${candidate}`);
}

/** A name for each that tells them apart. */
function called(sides) {
  const name = names();
  const models = sides.map(({ model }) => name(model) ?? short(model));
  return models[0] === models[1] ? models.map((model, index) => `${model} (${index ? "candidate" : "baseline"})`) : models;
}

function side(role, { id, state, result }, name) {
  return card(
    role,
    el("p", {}, el("a", { href: `#/evaluations/${id}` }, name)),
    result ? facts([["Score", interval(result.score)], ["Intact network", interval(result.intact)]]) : badge(state),
  );
}

function difference(found) {
  const ends = range([found.difference], -0.25, 0.25);
  return card(
    "The difference",
    el(
      "div",
      { class: "row" },
      el("span", { class: "big" }, `${found.difference.value > 0 ? "+" : ""}${number(found.difference.value)}`),
      el("span", { class: "hint" }, `[${number(found.difference.low)}, ${number(found.difference.high)}]`),
      found.verdict && badge(found.verdict),
    ),
    el("div", { class: "live-bar" }, bar(found.difference, ends, [0])),
    el("p", { class: "meaning" }, found.summary),
    found.reasons.length > 0 && el("ul", {}, found.reasons.map((reason) => el("li", {}, reason))),
    el("p", { class: "hint" }, `${found.paired ? "Paired: both saw the same examples at the same fractions" : "Not paired: the seeds differ"}. ${count(found.trials)} trials of each side.`),
  );
}
