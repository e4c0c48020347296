// The page's frame: which view an address shows, and what stands around it.

import { Problem, read } from "./api.js";
import { comparison } from "./comparison.js";
import { el, fill } from "./dom.js";
import { evaluation } from "./evaluation.js";
import { home } from "./home.js";
import { prepare } from "./key.js";
import { problemBox } from "./pieces.js";

const main = document.getElementById("main");
const VIEWS = [
  [/^(?:#\/?)?$/, home],
  [/^#\/evaluations\/([^/]+)$/, evaluation],
  [/^#\/compare\/([^/]+)\/([^/]+)$/, comparison],
];
let leaving = new AbortController();
let first = true;

async function show() {
  const found = VIEWS.map(([pattern, view]) => [location.hash.match(pattern), view]).find(([match]) => match);
  if (!found && location.hash === "#main") return; // the link past the navigation
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  document.title = "Lesion";
  fill(main, el("p", { class: "hint", role: "status" }, "Loading …"));
  if (!first) main.focus(); // a new view begins at its top, for a screen reader as well
  first = false;
  try {
    if (!found) throw new Problem({ title: "No such view", detail: "The evaluations are a click away, above." }, 404);
    const [match, view] = found;
    await view(main, signal, ...match.slice(1).map(decodeURIComponent));
  } catch (error) {
    if (!signal.aborted) fill(main, el("h1", {}, "This cannot be shown"), problemBox(error, show));
  }
}

async function frame() {
  try {
    const { version } = await read("/healthz");
    document.getElementById("version").textContent = `Lesion ${version}`;
    const ready = await read("/readyz");
    const refusing = Object.entries(ready.workers_refusing ?? {}).map(([machine, why]) => `${machine}: ${why}`);
    if (refusing.length) notice({ title: "Workers refuse to work", detail: refusing.join(" ") });
    else if (ready.broker !== "ok") notice({ title: "Work waits", detail: "The broker does not answer. Uploads are kept, and work goes on once it does." });
  } catch (error) {
    notice(error);
  }
}

function notice(problem) {
  fill(document.getElementById("notice"), problemBox(problem));
}

prepare(show);
addEventListener("hashchange", show);
show();
frame();
