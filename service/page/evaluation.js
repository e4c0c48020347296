// One evaluation: under way with its interval closing, then what it found.

import { call, download, follow, key, read } from "./api.js";
import { bar, range } from "./bars.js";
import { chart } from "./chart.js";
import { announce, el, fill } from "./dom.js";
import { names } from "./names.js";
import { badge, card, line, problemBox } from "./pieces.js";
import { found } from "./result.js";
import { ENDED, ago, count, curl, half, interval, moment, number, percent, plain, short } from "./words.js";

const MOST = 200; // points of the closing interval that are drawn

/** The view at `#/evaluations/ID`. */
export async function evaluation(main, signal, id) {
  const path = `/v1/evaluations/${encodeURIComponent(id)}`;
  const first = await read(path, { signal });
  const name = title(first);
  document.title = `${name} · Lesion`;
  const state = el("span", {}, badge(first.state));
  const buttons = el("div", { class: "row actions" });
  const body = el("div", {});
  const said = el("div", {});
  fill(main, el("p", {}, el("a", { href: "#/" }, "← All evaluations")), el("div", { class: "heading" }, el("h1", {}, name), state), el("p", { class: "hint" }, `${first.id}, begun ${moment(first.created_at)} (${ago(first.created_at)})`), buttons, said, body);

  const act = (method, address, done) => async () => {
    try {
      await call(address, { method });
      done();
    } catch (error) {
      fill(said, problemBox(error));
    }
  };
  const cancel = el("button", { type: "button", onclick: act("DELETE", path, () => announce("Cancelled.")) }, "Cancel");
  const forget = el("button", { type: "button", class: "plain last", onclick: () => confirm("Delete this evaluation and its result for good?") && act("DELETE", `${path}?forget=true`, () => (location.hash = "#/"))() }, "Delete");

  const live = under();
  function show(now) {
    fill(state, badge(now.state));
    if (!ENDED.includes(now.state)) {
      if (!live.node.isConnected) {
        fill(buttons, cancel);
        fill(body, live.node, again(now));
      }
      live.show(now);
      return;
    }
    fill(buttons, files(now, said), forget);
    fill(body, ...ended(now), again(now));
    announce(`The evaluation has ${now.state}. ${now.result?.score ? `Score ${interval(now.result.score)}.` : ""}`);
  }

  show(first);
  if (!ENDED.includes(first.state)) await follow(first, show, signal);
}

function title({ model, dataset }) {
  const name = names();
  return `${name(model) ?? short(model)} on ${name(dataset) ?? short(dataset)}`;
}

function ended(now) {
  if (now.result) return found(now, standing(now));
  if (now.problem) return [problemBox(now.problem)];
  return [card("Cancelled", el("p", {}, "Nothing was scored. The same model, dataset and config may be sent again."))];
}

/** Where the score stands among networks of its kind; empty until that is known. */
function standing({ id, result }) {
  const said = el("p", { class: "hint" });
  if (result.score) {
    call(`/v1/evaluations/${id}/standing`)
      .then(({ sentence }) => fill(said, sentence, " ", el("a", { href: "/evidence" }, "What a score is worth")))
      .catch(() => {}); // the score itself is told all the same
  }
  return said;
}

/** What is seen while it runs: how far it is, and the interval as it closes. */
function under() {
  const bars = el("progress", { max: 1, "aria-label": "Work done" });
  const words = el("p", { class: "now" });
  const drawn = el("div", { class: "live-bar" });
  const funnel = el("div", {});
  let figure = null;
  const node = card("Under way", bars, words, drawn, funnel);
  const seen = [];
  let told = 0;

  function show({ state, progress, config }) {
    if (state === "queued") {
      bars.removeAttribute("value");
      fill(words, "It waits for a worker.");
      return;
    }
    bars.value = Math.min(progress.share, 0.99);
    if (!progress.score) {
      fill(words, progress.trials ? `${count(progress.trials)} trials so far.` : "A worker reads model and dataset, and measures the intact network.");
      return;
    }
    const aim = config.precision ? `; asked for ± ${config.precision}` : "";
    fill(words, el("strong", {}, interval(progress.score)), ` ± ${number(half(progress.score))} after ${count(progress.trials)} trials${aim}.`);
    fill(drawn, bar(progress.score, range([progress.score]), [0, 1]));
    if (seen.at(-1)?.x !== progress.trials) seen.push({ x: progress.trials, ...progress.score });
    if (figure) figure.renew(closing(seen.slice(-MOST)));
    else if (seen.length > 2) fill(funnel, (figure = funnelOf(seen)));
    if (progress.share >= told + 0.25) {
      told = progress.share;
      announce(`${percent(progress.share)} done, score ${interval(progress.score)}.`);
    }
  }
  return { node, show };
}

/** What changes of the picture as more is known. */
function closing(points) {
  return {
    series: [{ name: "score with its interval", points }],
    x: [points[0].x, points.at(-1).x],
    y: [Math.min(...points.map((each) => each.low)), Math.max(...points.map((each) => each.high))],
    summary: `The score's interval over the trials, closing to ${interval(points.at(-1))}.`,
  };
}

function funnelOf(points) {
  return chart({ ...closing(points), xLabel: "trials", yLabel: "score", say: (trials) => `after ${count(trials)} trials` });
}

function files(now, said) {
  if (!now.result) return null;
  const save = (address, name, text) =>
    el("button", { type: "button", class: "plain", onclick: () => download(address, name).catch((error) => fill(said, problemBox(error))) }, text);
  const here = now.links.self;
  return [
    save(`${here}/report.html`, `${now.id}.html`, "Report"),
    save(here, `${now.id}.json`, "JSON"),
    ...["csv", "svg", "png"].map((kind) => save(now.links.curve[kind], `${now.id}.${kind}`, kind.toUpperCase())),
  ];
}

function again(now) {
  const asked = { model: now.model, dataset: now.dataset, config: plain(now.config) };
  return card("From a shell", line("This evaluation", curl(now.links.self, null, key.get())), line("The same again, from the uploads that are here", curl("/v1/evaluations?wait=60", asked, key.get())));
}
