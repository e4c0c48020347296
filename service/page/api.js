// Talks to the service: JSON, problems, uploads with their progress, and server-sent events. Knows no view.

import { pause } from "./dom.js";

const KEY = "lesion.key"; // in sessionStorage alone: it ends with the tab

/** What the service says went wrong (RFC 9457). */
export class Problem extends Error {
  constructor(body, status) {
    super(body.detail);
    Object.assign(this, { title: body.title, detail: body.detail, type: body.type, status, retryAfter: 0 });
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

let asking = null; // several requests may find out at once that a key is needed; one question is enough
let ask = async () => false;

/** Who is asked for a key: `async (problem) => true` once `key` has another one. */
export function onKeyNeeded(question) {
  ask = question;
}

function withKey(headers) {
  return key.get() ? { ...headers, Authorization: `Bearer ${key.get()}` } : headers;
}

async function newKey(problem) {
  asking ??= ask(problem).finally(() => {
    asking = null;
  });
  return asking;
}

async function problemOf(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    body = { title: "The answer cannot be read", detail: `The service answered with ${response.status}.` };
  }
  const problem = new Problem(body, response.status);
  problem.retryAfter = Number(response.headers.get("Retry-After") ?? 0);
  return problem;
}

/** One request. Raises `Problem`; asks for a key where one is needed, and tries again with it. */
export async function call(path, { method = "GET", json, headers = {}, signal } = {}) {
  const sent = json === undefined ? headers : { ...headers, "Content-Type": "application/json" };
  for (;;) {
    const shown = key.get();
    let response;
    try {
      response = await fetch(path, { method, headers: withKey(sent), body: json && JSON.stringify(json), signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw silent();
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    const another = response.status === 401 && (key.get() !== shown || (await newKey(problem)));
    if (!another) throw problem;
  }
}

/** The body of an answer, as JSON. */
export async function read(path, options) {
  return (await call(path, options)).json();
}

function silent() {
  const detail = "Is it still running, and can this machine reach it? Nothing is lost: try again in a moment.";
  return new Problem({ title: "The service does not answer", detail, type: null }, 0);
}

/** POST a form; `progress(sent, all)` is called with bytes. XMLHttpRequest, since fetch tells no upload's progress. */
export function upload(path, form, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    for (const [name, value] of Object.entries(withKey({ "Idempotency-Key": token() }))) {
      request.setRequestHeader(name, value);
    }
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("load", () => {
      if (request.status < 400 && request.response) resolve(request.response);
      else reject(request.response ? new Problem(request.response, request.status) : silent());
    });
    request.addEventListener("error", () => reject(silent()));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

function token() {
  // Not crypto.randomUUID, which browsers offer over https and on localhost alone.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Follow an evaluation until it ends: `told(evaluation)` for each event. Comes back after a lost connection. */
export async function follow(evaluation, told, signal) {
  // Not EventSource, which cannot send a key.
  for (;;) {
    try {
      const response = await call(evaluation.links.events, { signal, headers: { Accept: "text/event-stream" } });
      for await (const event of events(response.body)) {
        told(JSON.parse(event.data));
        if (event.name === "ended") return;
      }
    } catch (error) {
      const passing = error instanceof Problem && (error.status === 0 || error.status === 429 || error.status >= 500);
      if (signal.aborted || !(passing || error instanceof TypeError)) throw error;
    }
    await pause(1000, signal);
  }
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text = (text + value).replaceAll("\r\n", "\n");
      const parts = text.split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const event = parsed(part);
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(part) {
  const lines = part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]);
  const of = (name) => lines.filter(([each]) => each === name).map(([, value]) => value);
  return { name: of("event")[0] ?? "message", data: of("data").join("\n") };
}

/** Save what lies at an address as a file. A plain link would come without the key. */
export async function download(path, name) {
  const address = URL.createObjectURL(await (await call(path)).blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
