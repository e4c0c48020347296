// All evaluations, newest first, beside the form that starts one.

import { read } from "./api.js";
import { bar, range } from "./bars.js";
import { announce, el, fill, pause } from "./dom.js";
import { names } from "./names.js";
import { badge, card } from "./pieces.js";
import { submission } from "./submit.js";
import { ENDED, ago, interval, moment, percent, plural, short } from "./words.js";

const PAGE = 20;
const AGAIN = 2000; // milliseconds between looks while something is under way
const IDLE = 15_000;

/** The view at `#/`. */
export async function home(main, signal) {
  const chosen = new Set();
  const rows = el("tbody", {});
  const more = el("button", { type: "button", class: "plain", hidden: true }, "Show older ones");
  const compare = el("button", { type: "button", disabled: true, onclick: () => go(chosen, shown) }, "Compare two");
  const about = el("span", { class: "hint" });
  const list = card(
    "Evaluations",
    el("div", { class: "row" }, compare, about),
    el("table", { class: "evaluations" }, heads(), rows),
    more,
  );
  let shown = [];
  let wanted = PAGE;

  function pick(id, is) {
    if (is) chosen.add(id);
    else chosen.delete(id);
    compare.disabled = chosen.size !== 2;
    about.textContent = chosen.size === 2 ? "The older one is the baseline." : `${2 - chosen.size > 0 ? `Tick ${chosen.size ? "one more" : "two that succeeded"}` : "Tick two only"}.`;
  }

  async function look() {
    const page = await pages(wanted, signal);
    const before = new Map(shown.map((each) => [each.id, each.state]));
    for (const each of page.data) {
      if (before.has(each.id) && before.get(each.id) !== each.state) announce(`An evaluation has ${each.state}.`);
    }
    shown = page.data;
    more.hidden = !page.next_cursor;
    const focused = rows.contains(document.activeElement) ? document.activeElement.id : null;
    const name = names();
    fill(rows, shown.length ? shown.map((each) => row(each, name, chosen, pick)) : el("tr", {}, el("td", { colspan: 7, class: "empty" }, "None yet. Drop a model and a dataset, or try one that comes along.")));
    if (focused) document.getElementById(focused)?.focus();
  }

  more.addEventListener("click", async () => {
    wanted += PAGE;
    await look();
  });
  await look();
  pick(null, false);
  fill(main, hero(), el("div", { class: "columns" }, submission(signal), list));
  for (;;) {
    await pause(shown.some((each) => !ENDED.includes(each.state)) ? AGAIN : IDLE, signal);
    if (document.visibilityState === "visible") await look().catch(() => signal.throwIfAborted()); // the next look may succeed
  }
}

function hero() {
  return el("div", { class: "hero" }, el("h1", {}, "Would your network still work with half its neurons gone?"), el("p", {}, "One that learned something would; one that memorised its training set would not. Lesion removes units at random, more and more of them, and measures what still works."));
}

async function pages(wanted, signal) {
  const data = [];
  let cursor = null;
  do {
    const page = await read(`/v1/evaluations?limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`, { signal });
    data.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor && data.length < wanted);
  return { data, next_cursor: cursor };
}

function heads() {
  return el("thead", {}, el("tr", {}, ["", "Network and dataset", "State", "Score", "", "Verdict", "Begun"].map((head, index) => el("th", { scope: "col" }, head || el("span", { class: "unseen" }, index ? "Interval" : "Compare")))));
}

function row(each, name, chosen, pick) {
  const what = `${name(each.model) ?? short(each.model)} on ${name(each.dataset) ?? short(each.dataset)}`;
  const score = each.result ? each.result.score : each.progress.score;
  const box = el("input", { type: "checkbox", id: `pick-${each.id}`, "aria-label": `Compare ${what}`, disabled: !each.result?.score, onchange: () => pick(each.id, box.checked) });
  box.checked = chosen.has(each.id);
  const state = each.state === "running" ? [badge("running"), el("span", { class: "hint" }, ` ${percent(each.progress.share)}`)] : badge(each.state);
  return el(
    "tr",
    { class: each.state },
    el("td", { class: "pick" }, box),
    el("td", { class: "what" }, el("a", { id: `link-${each.id}`, href: `#/evaluations/${each.id}` }, what), el("div", { class: "hint" }, scope(each))),
    el("td", { class: "state" }, state),
    el("td", { class: "score" }, score ? interval(score) : el("span", { class: "hint" }, "none")),
    el("td", { class: "drawn" }, score && bar(score, range([score]), [0, 1])),
    el("td", { class: "verdict" }, each.result?.gate && badge(each.result.gate.verdict)),
    el("td", { class: "when", title: moment(each.created_at) }, ago(each.created_at)),
  );
}

function scope({ config, result }) {
  const sites = result ? `, ${plural(result.sites.length, "site")}` : "";
  return `${{ network: "whole network", layer: "each layer alone", paper: "last three convolutions" }[config.scope]}${sites}`;
}

function go(chosen, shown) {
  const [candidate, baseline] = shown.filter((each) => chosen.has(each.id)).map((each) => each.id); // newest first
  location.hash = `#/compare/${baseline}/${candidate}`;
}
