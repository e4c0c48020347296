// What the analyses found of single units: how the layers are tuned, which units matter, and whether the two go together.

import { read } from "./api.js";
import { chart, table } from "./chart.js";
import { el, fill } from "./dom.js";
import { card, files, problemBox } from "./pieces.js";
import { scatter } from "./scatter.js";
import { count, interval, number, plural } from "./words.js";

const MOST = 5000; // units that are read for the pictures; the table of the API has them all
const ORDERS = { random: "at random", most_selective: "the most selective first", least_selective: "the least selective first", largest: "the largest first", most_important: "the most important first" };

/** Cards for those analyses that were asked for. */
export function analysed(evaluation) {
  const { analyses } = evaluation.result;
  if (!analyses) return [];
  return [
    analyses.relation && related(evaluation),
    analyses.importance && important(analyses.importance, saved(evaluation, "importance")),
    analyses.selectivity && tuned(analyses.selectivity, saved(evaluation, "selectivity")),
    analyses.targeted && targeted(analyses.targeted, saved(evaluation, "targeted")),
    analyses.classes && classes(analyses.classes, saved(evaluation, "classes")),
    analyses.noise && noisy(analyses.noise, saved(evaluation, "noise")),
  ];
}

const saved = ({ id, links }, name) => files(name, links.analyses[name], `${id}-${name}`);

function related(evaluation) {
  const { result, links } = evaluation;
  const { finding, layers } = result.analyses.relation;
  const all = result.analyses.units.units;
  const drawn = all > MOST && el("p", { class: "hint" }, `The first ${count(MOST)} of ${count(all)} units are drawn here; the files have them all.`);
  const panels = el("div", { class: "multiples", "aria-live": "polite" }, el("p", { class: "hint" }, "Reading the units …"));
  everyUnit(`${links.self}/units`).then(
    (units) => fill(panels, pictures(units, layers)),
    (error) => fill(panels, problemBox(error)),
  );
  return card("Do selective units matter more?", el("p", { class: "meaning" }, finding), drawn, panels, saved(evaluation, "relation"));
}

async function everyUnit(address) {
  const units = [];
  let cursor = null;
  do {
    const page = await read(`${address}?limit=500${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
    units.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null && units.length < MOST);
  return units;
}

function pictures(units, layers) {
  const firing = units.filter((unit) => unit.selectivity !== null && unit.importance);
  const height = (unit) => unit.importance.cross_entropy_added.value;
  const y = [Math.min(0, ...firing.map(height)), Math.max(0.001, ...firing.map(height))];
  return [...new Set(units.map((unit) => unit.site))].map((site) => {
    const shown = firing.filter((unit) => unit.site === site);
    const first = Math.min(...shown.map((unit) => unit.importance.rank));
    const points = shown.map((unit) => ({ x: unit.selectivity, y: height(unit), top: unit.importance.rank === first, name: `unit ${unit.unit}` }));
    const found = layers.find((each) => each.site === site && each.property === "selectivity")?.spearman;
    const told = found ? `Spearman ${interval(found)}` : "too few units to correlate";
    return el(
      "div",
      { class: "multiple" },
      el("div", { class: "site" }, site, el("span", { class: "hint" }, ` ${plural(shown.length, "unit")} that fire`)),
      scatter({ points, y, xLabel: "class selectivity", yLabel: "nats lost without it", summary: `${site}: selectivity against importance of ${plural(points.length, "unit")}, ${told}` }),
      el("div", { class: "hint" }, told),
    );
  });
}

function important({ examples, top, certain }, saved) {
  const sure = certain === null ? "" : certain ? " It is certain that these are the ones." : " It is not certain that these are the ones.";
  const rows = top.map((unit) => [unit.site, unit.unit, interval(unit.importance.cross_entropy_added), interval(unit.importance.accuracy_lost), unit.selectivity === null ? "–" : number(unit.selectivity)]);
  return card(
    "The units that matter most",
    el("p", { class: "hint" }, `Each removed alone, on up to ${count(examples)} examples.${sure}`),
    grid("The units that matter most", ["Site", "Unit", "Cross-entropy added, nats", "Accuracy lost", "Selectivity"], rows, [1, 4]),
    saved,
  );
}

function tuned(sites, saved) {
  const share = (value) => (value === null ? "–" : number(value));
  const rows = sites.map((site) => [site.site, site.units, site.dead, site.informative, share(site.fires), share(site.selectivity), share(site.information)]);
  return card("How the layers are tuned", grid("How the layers are tuned", ["Site", "Units", "Never fire", "Informative", "Fire on", "Selectivity, median", "Bits, median"], rows, [1, 2, 3, 4, 5, 6]), saved);
}

function targeted({ finding, orders }, saved) {
  const series = orders.map((each) => ({ name: ORDERS[each.order] ?? each.order, points: each.curve.map(({ fraction, ...rest }) => ({ x: fraction, ...rest })) }));
  const summary = `Curves of ${plural(series.length, "order")}. ${finding}`;
  const figure = chart({ series, xLabel: "fraction of units removed", yLabel: "accuracy", summary, say: (fraction) => `${Math.round(fraction * 100)} % removed` });
  return card("Does the order matter?", el("p", { class: "meaning" }, finding), figure, table(series, "fraction"), saved);
}

function classes({ curves, examples }, saved) {
  const rows = curves.map((each) => [each.label, count(each.examples), each.half_life === null ? "never" : number(each.half_life), interval(each.area)]);
  return card("Which classes break first", el("p", { class: "hint" }, `On ${count(examples)} examples.`), grid("Which classes break first", ["Class", "Examples", "Half is lost at", "Area under its curve"], rows, [0, 1, 2]), saved);
}

function noisy({ area, curve }, saved) {
  const series = [{ name: "accuracy with noise, with its interval", points: curve.map(({ deviations, ...rest }) => ({ x: deviations, ...rest })) }];
  const figure = chart({ series, x: [0, curve.at(-1).deviations], xLabel: "noise, standard deviations of each unit", yLabel: "accuracy", summary: `Accuracy as noise grows; its mean is ${interval(area)}.`, say: (deviations) => `noise of ${number(deviations)} deviations` });
  return card("What noise does", figure, table(series, "deviations"), saved);
}

/** A table that can be scrolled by keyboard; `amounts` are the columns of numbers. */
function grid(name, heads, rows, amounts) {
  const cell = (value, index) => el("td", { class: amounts.includes(index) ? "amount" : index === 0 && "site" }, String(value));
  const head = heads.map((each, index) => el("th", { scope: "col", class: amounts.includes(index) && "amount" }, each));
  const body = rows.map((row) => el("tr", {}, row.map(cell)));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}
