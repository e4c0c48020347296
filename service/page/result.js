// What a finished evaluation found: score and what it means, the curve, the layers, the sites, what to beware of.

import { bar, range } from "./bars.js";
import { chart, table } from "./chart.js";
import { el } from "./dom.js";
import { badge, card, facts } from "./pieces.js";
import { analysed } from "./units.js";
import { confidence, count, interval, meaning, metric, number, plural } from "./words.js";

const UNBOUNDED = ["cross_entropy", "r2"]; // metrics that are no share of the examples

/** Cards, in the order in which they matter. standing: a paragraph on how the score compares. */
export function found(evaluation, standing) {
  const { result } = evaluation;
  const curve = result.curve.length > 0 && card("The curve", ...drawn([{ name: metric(result), result }]));
  const each = result.layers.length > 0 && card("Each layer alone", layers(result));
  return [
    el("div", { class: "columns" }, score(result, standing), el("div", {}, curve, each)),
    result.gate && checked(result.gate),
    ...analysed(evaluation),
    result.warnings.length > 0 && card("Beware", el("ul", {}, result.warnings.map((warning) => el("li", {}, warning)))),
    el("div", { class: "columns even" }, numbers(evaluation), removed(result)),
  ];
}

function score(result, standing) {
  return card(
    "Score",
    el(
      "div",
      { class: "row" },
      el("span", { class: "big" }, result.score ? number(result.score.value) : "none"),
      result.score && el("span", { class: "hint" }, `[${number(result.score.low)}, ${number(result.score.high)}]`),
      result.gate && badge(result.gate.verdict),
    ),
    result.score && el("div", { class: "live-bar" }, bar(result.score, range([result.score]), [0, 1])),
    result.score && el("div", { class: "ends hint", "aria-hidden": "true" }, el("span", {}, "0: all lost"), el("span", {}, "1: unhurt")),
    el("p", { class: "meaning" }, meaning(result)),
    standing,
    result.gate?.reasons && el("ul", {}, result.gate.reasons.map((reason) => el("li", {}, reason))),
  );
}

const RULES = { min_score: "Score at least", min_accuracy: "Accuracy at least", min_layer_score: "Score of the site at least", max_drop: "Drop at most", max_gap: "Gap to training at most" };

function checked({ policy, checks, confidence: sure, looks }) {
  const heads = ["Rule", "Line", "Measured", "Verdict"].map((head) => el("th", { scope: "col", class: head === "Line" && "amount" }, head));
  const rows = checks.map((check) =>
    el(
      "tr",
      {},
      el("td", {}, RULES[check.rule] ?? check.rule, check.site && el("div", { class: "site hint" }, check.site)),
      el("td", { class: "amount" }, number(check.line)),
      el("td", {}, check.measured ? interval(check.measured) : "nothing to measure"),
      el("td", {}, badge(check.verdict)),
    ),
  );
  const by = policy ? `Judged by ${policy}, ` : "Judged ";
  return card(
    "The gate",
    el("p", { class: "hint" }, `${by}with ${Math.round(sure * 100)} % confidence in a pass or a fail, read at ${plural(looks, "look")} at most. A pass needs all of them.`),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The gate" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows))),
  );
}

function numbers({ result, config }) {
  const cost = `${count(result.cost.passes)} passes${result.cost.seconds === null ? "" : `, ${result.cost.seconds.toFixed(1)} s`} on ${result.cost.device}`;
  return card(
    "The figures",
    facts([
      ["Intact network", interval(result.intact), result.intact_examples ? `${metric(result)}, on ${count(result.intact_examples)} random examples` : metric(result)],
      ["Best constant answer", number(result.chance)],
      ["Area under the curve", interval(result.auc)],
      result.half_life && ["Half-life", interval(result.half_life), "of the units"],
      ["Removed", `${plural(result.sites.length, "site")}, ${plural(result.sites.reduce((sum, site) => sum + site.units, 0), "unit")}`, `set to ${result.clamp}`],
      ["Split", result.split ?? "none named"],
      ["Intervals", confidence(config)],
      ["Seed", String(result.provenance.seed)],
      ["Cost", cost],
    ]),
  );
}

/** The curves of one or two results, `[{name, result}]`, and their numbers. */
export function drawn(sides) {
  const results = sides.map((side) => side.result);
  const series = sides.map(({ name, result }) => ({ name, points: result.curve.map(({ fraction, ...rest }) => ({ x: fraction, ...rest })) }));
  const [result] = results;
  const one = sides.length === 1;
  const summary = sides.map(({ name, result }) => `${name}: ${number(result.intact.value)} intact, ${number(result.curve.at(-1).value)} with all units removed`).join("; ");
  const figure = chart({
    series: one ? [{ ...series[0], name: `${series[0].name}, with its interval` }] : series,
    lines: [{ value: result.chance, name: `best constant answer, ${number(result.chance)}` }],
    marks: one && result.half_life ? [{ x: result.half_life.value, value: result.chance + (result.intact.value - result.chance) / 2, low: result.half_life.low, high: result.half_life.high, name: "half-life" }] : [],
    y: reach(results),
    xLabel: "fraction of units removed",
    yLabel: metric(result),
    summary: `Curve. ${summary}. The slider below reads it off.`,
    say: (fraction) => `${Math.round(fraction * 100)} % removed`,
  });
  return [figure, table(series, "fraction")];
}

function reach(results) {
  if (!results.some((result) => UNBOUNDED.includes(result.metric))) return [0, 1];
  const values = results.flatMap((result) => [result.chance, ...result.curve.flatMap((point) => [point.low, point.high])]);
  return [Math.min(0, ...values), Math.max(1, ...values)];
}

function layers({ layers }) {
  const shown = layers.map((layer) => layer.score ?? layer.auc);
  const ends = range(shown);
  return el(
    "div",
    { class: "multiples" },
    layers.map((layer, index) =>
      el(
        "div",
        { class: "multiple" },
        el("div", { class: "site" }, layer.site, el("span", { class: "hint" }, ` ${plural(layer.units, "unit")}`)),
        bar(shown[index], ends, [0, 1]),
        el("div", {}, layer.score ? interval(layer.score) : `no score; area ${interval(layer.auc)}`),
      ),
    ),
  );
}

function removed({ sites }) {
  const heads = ["Site", "Operator", "Units"].map((head) => el("th", { scope: "col", class: head === "Units" && "amount" }, head));
  const rows = sites.map((site) => el("tr", {}, el("td", { class: "site" }, site.site), el("td", {}, site.op), el("td", { class: "amount" }, count(site.units))));
  const table = el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows));
  const about = el("p", { class: "hint" }, "The places whose units were removed, from the input to the output.");
  return card("Sites", about, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sites" }, table));
}
