// Numbers, times, digests and meanings, in words. Draws nothing, asks nothing.

export const ENDED = ["succeeded", "failed", "cancelled"];

/** 0.613 */
export const number = (value) => value.toFixed(3).replace("-", "−");

/** 0.613 [0.590, 0.633] */
export function interval(estimate) {
  return estimate ? `${number(estimate.value)} [${number(estimate.low)}, ${number(estimate.high)}]` : "none";
}

export const half = (estimate) => (estimate.high - estimate.low) / 2;
export const percent = (value) => `${Math.round(value * 100)}\u00a0%`.replace("-", "−");
export const count = (value) => value.toLocaleString("en");
export const confidence = (config) => `${Number((100 * (config.confidence ?? 0.95)).toFixed(1))} %`;

/** The first characters of a digest, which is how people tell two apart. */
export const short = (digest) => digest.replace("sha256:", "").slice(0, 8);

/** 26 Nov 2026, 14:03:07 */
export function moment(text) {
  return new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** just now, 5 min ago, 3 h ago; older ones as a date. */
export function ago(text) {
  const seconds = (Date.now() - new Date(text)) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(text).toLocaleDateString("en-GB", { dateStyle: "medium" });
}

export function bytes(size) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = size < 1 ? 0 : Math.min(3, Math.floor(Math.log2(size) / 10));
  return `${power ? (size / 1024 ** power).toFixed(1) : size} ${units[power]}`;
}

export const plural = (many, one) => `${count(many)} ${one}${many === 1 ? "" : "s"}`;

/** What was measured, such as `top-5 accuracy`. */
export function metric(result) {
  const measured = result.measured;
  if (measured?.k) return `top-${measured.k} accuracy`;
  return result.metric.replaceAll("_", " ") + (measured?.unit ? ` in ${measured.unit}` : "");
}

/** What a score means, in two sentences. */
export function meaning(result) {
  if (!result.score) return `There is no score. ${result.score_refused ?? ""}`.trim();
  const { value, low, high } = result.score;
  const which = { network: "its units", layer: "one layer's units", paper: "the units of its last three convolutions" };
  const kept =
    `While more and more of ${which[result.scope] ?? "its units"} are removed at random, from none to all, this network ` +
    `keeps on average ${percent(value)} (${percent(low)} to ${percent(high)}) of its lead over the best constant answer.`;
  if (!result.half_life) return `${kept} 100\u00a0% would be unhurt by any loss, 0\u00a0% no better than a constant answer.`;
  return `${kept} Half of that lead is gone once ${percent(result.half_life.value)} of the units are.`;
}

/** A word for a shell, quoted. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The line that gives the same evaluation again, from a shell. */
export function curl(path, json, hasKey) {
  const parts = ["curl", "-s"];
  if (hasKey) parts.push('-H "Authorization: Bearer $LESION_KEY"');
  if (json) parts.push(`--json ${quoted(JSON.stringify(json))}`);
  return [...parts, quoted(location.origin + path)].join(" ");
}

/** A config without what is unset. */
export function plain(config) {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
}
