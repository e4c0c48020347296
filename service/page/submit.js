// The form that starts an evaluation: two files, a few settings, and the upload's progress.

import { Problem, call, upload } from "./api.js";
import { announce, el, fill } from "./dom.js";
import { dropped, sorted } from "./files.js";
import { remember } from "./names.js";
import { card, problemBox } from "./pieces.js";
import { bytes, percent } from "./words.js";

const PREPROCESSING = {
  none: null,
  pixels: { scale: 1 / 255 },
  imagenet: { resize: 256, crop: 224, scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
};
const CHOICES = {
  scope: [["network", "all layers at once"], ["layer", "each layer alone"], ["paper", "the last three convolutions"]],
  precision: [["0.05", "± 0.05, a glance"], ["0.02", "± 0.02"], ["0.01", "± 0.01, the usual"], ["0.005", "± 0.005, patient"]],
  metric: [["", "accuracy, else agreement"], ["top_k", "top-5 accuracy"], ["balanced_accuracy", "balanced accuracy"], ["cross_entropy", "cross entropy"], ["r2", "R² of a regression"], ["agreement", "agreement with the intact network"]],
  clamp: [["zero", "zero"], ["mean", "its mean over the dataset"]],
  preprocessing: [["none", "none"], ["pixels", "pixels from 0–255 to 0–1"], ["imagenet", "ImageNet: 256, crop 224"]],
};
const LABELS = { scope: "What is removed", precision: "Precision of the score", metric: "What is measured", clamp: "A removed unit becomes", preprocessing: "Preprocessing" };

/** The form, as a card. It leads to the evaluation that it starts. */
export function submission(signal) {
  const files = { model: [], dataset: [] };
  const outcome = el("div", { class: "outcome" });
  const start = el("button", { type: "submit", class: "main" }, "Start");
  const slots = Object.fromEntries(["model", "dataset"].map((kind) => [kind, slot(kind, take)]));
  const more = settings();
  const form = el("form", { class: "submission" }, el("div", { class: "slots" }, slots.model.node, slots.dataset.node), more.node, el("div", { class: "row" }, start, el("span", { class: "hint" }, "or drop both files anywhere here")), outcome);

  function take(given, kind) {
    fill(outcome);
    const missing = files.dataset.length && !files.model.length ? "model" : "dataset";
    const found = sorted(given, kind, missing);
    for (const each of ["model", "dataset"]) {
      if (found[each].length) files[each] = each === "model" ? found[each] : found[each].slice(-1);
      slots[each].show(files[each]);
    }
    const ready = ["model", "dataset"].map((each) => files[each].map((file) => file.name).join(", ") || `no ${each} yet`);
    announce(`Chosen: ${ready.join("; ")}.`);
  }

  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", (event) => !form.contains(event.relatedTarget) && form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    try {
      take(dropped(event.dataTransfer), event.target.closest("[data-kind]")?.dataset.kind ?? null);
    } catch (error) {
      fill(outcome, problemBox({ title: "That cannot be dropped", detail: error.message }));
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    start.disabled = true;
    try {
      await send(files, more.config(), outcome, signal);
    } catch (error) {
      if (error.name === "AbortError") fill(outcome);
      else fill(outcome, problemBox(error));
    }
    start.disabled = false;
  });
  return card("Score a network", form, examples(outcome, signal));
}

function slot(kind, take) {
  const several = kind === "model";
  const wanted = several ? ".onnx (with its .data files), .pt2, TorchScript" : ".npz, .parquet, .csv, .safetensors, a zip of images";
  const input = el("input", { type: "file", id: `file-${kind}`, multiple: several, "aria-describedby": `about-${kind}`, onchange: () => input.files.length && take([...input.files], kind) });
  const shown = el("p", { class: "chosen", id: `about-${kind}` }, wanted);
  const node = el("div", { class: "slot", "data-kind": kind }, el("label", { for: `file-${kind}` }, several ? "Model" : "Dataset"), shown, input);
  function show(files) {
    node.classList.toggle("filled", files.length > 0);
    fill(shown, files.length ? files.map((file) => `${file.name} (${bytes(file.size)})`).join(", ") : wanted);
  }
  return { node, show };
}

function settings() {
  const fields = Object.fromEntries(
    Object.entries(CHOICES).map(([name, choices]) => [name, el("select", { id: `set-${name}` }, choices.map(([value, text]) => el("option", { value }, text)))]),
  );
  fields.precision.value = "0.01";
  const json = el("textarea", { id: "set-json", rows: 3, spellcheck: "false", placeholder: '{"seed": 7, "split": "test"}', "aria-describedby": "about-json" });
  const node = el(
    "details",
    { class: "settings" },
    el("summary", {}, "Settings"),
    Object.entries(fields).map(([name, field]) => el("p", {}, el("label", { for: field.id }, LABELS[name]), field)),
    el("p", {}, el("label", { for: "set-json" }, "Anything else, as JSON"), json, el("span", { class: "hint", id: "about-json" }, "Any field of a config; it wins over the choices above. ", el("a", { href: "/docs#/evaluations" }, "All fields"))),
  );
  function config() {
    const chosen = { scope: fields.scope.value, clamp: fields.clamp.value, precision: Number(fields.precision.value) };
    if (fields.metric.value) chosen.metric = fields.metric.value;
    if (PREPROCESSING[fields.preprocessing.value]) chosen.preprocessing = PREPROCESSING[fields.preprocessing.value];
    const more = json.value.trim() ? parsed(json.value) : {};
    if (more.estimator === "grid") delete chosen.precision;
    return { ...chosen, ...more };
  }
  return { node, config };
}

function parsed(text) {
  try {
    const found = JSON.parse(text);
    if (found !== null && typeof found === "object" && !Array.isArray(found)) return found;
  } catch {
    // Said below.
  }
  throw new Problem({ title: "The settings cannot be read", detail: 'Write a JSON object, such as {"seed": 7}.' }, 0);
}

async function send(files, config, outcome, signal) {
  const missing = ["model", "dataset"].filter((kind) => !files[kind].length);
  if (missing.length) {
    throw new Problem({ title: "A file is missing", detail: `Choose a ${missing.join(" and a ")} first.` }, 0);
  }
  const form = new FormData();
  for (const kind of ["model", "dataset"]) for (const file of files[kind]) form.append(kind, file, file.name);
  form.append("config", JSON.stringify(config));
  const stop = new AbortController();
  signal.addEventListener("abort", () => stop.abort(), { once: true });
  const bar = el("progress", { max: 1, value: 0, "aria-label": "Upload" });
  const said = el("span", {}, "Uploading …");
  fill(outcome, el("div", { class: "upload" }, bar, el("div", { class: "row" }, said, el("button", { type: "button", class: "plain", onclick: () => stop.abort() }, "Stop"))));
  announce("Uploading.");
  const progress = (sent, all) => {
    bar.value = all ? sent / all : 0;
    said.textContent = sent < all ? `Uploading, ${percent(sent / all)} of ${bytes(all)}` : "Uploaded. A worker looks at the files …";
  };
  const made = await upload("/v1/evaluations", form, progress, stop.signal);
  remember(made.model, files.model[0].name);
  remember(made.dataset, files.dataset[0].name);
  location.hash = `#/evaluations/${made.id}`;
}

/** Two networks come with the service: who has none at hand sees what it does all the same. */
function examples(outcome, signal) {
  const button = (name) => el("button", { type: "button", class: "plain", onclick: () => example(name, outcome, signal) }, `the one that ${name}`);
  return el("p", { class: "hint" }, "No network at hand? Try two that come along: ", button("learned"), " and ", button("memorised"), ".");
}

async function example(name, outcome, signal) {
  try {
    const file = async (end) => new File([await (await call(`/page/examples/${name}.${end}`, { signal })).blob()], `${name}.${end}`);
    await send({ model: [await file("onnx")], dataset: [await file("npz")] }, { precision: 0.02 }, outcome, signal);
  } catch (error) {
    if (!signal.aborted) fill(outcome, problemBox(error));
  }
}
