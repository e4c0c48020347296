// A number with its interval on an axis, small enough for a row of a table. The number stands beside it as text.

import { svg } from "./dom.js";

/** The range that shows all of these estimates, at least from `low` to `high`. */
export function range(estimates, low = 0, high = 1) {
  const known = estimates.filter(Boolean);
  return [Math.min(low, ...known.map((each) => each.low)), Math.max(high, ...known.map((each) => each.high))];
}

/** The drawing: a band from low to high, a dot at the value, a line at each mark. */
export function bar(estimate, [low, high] = [0, 1], marks = []) {
  const place = (value) => `${(2 + (96 * (value - low)) / (high - low)).toFixed(3)}%`;
  const width = (from, to) => `${Math.max(0.5, (96 * (to - from)) / (high - low)).toFixed(3)}%`;
  return svg(
    "svg",
    { class: "bar", "aria-hidden": "true" },
    svg("rect", { class: "axis", x: "2%", width: "96%", y: "50%", height: 1 }),
    marks.map((mark) => svg("line", { class: "mark", x1: place(mark), x2: place(mark), y1: "10%", y2: "90%" })),
    estimate && svg("rect", { class: "band", x: place(estimate.low), width: width(estimate.low, estimate.high), y: "22%", height: "56%", rx: 3 }),
    estimate && svg("circle", { class: "dot", cx: place(estimate.value), cy: "50%", r: 4 }),
  );
}
