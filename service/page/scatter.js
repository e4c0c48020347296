// Two properties of a layer's units, a dot each, as SVG: small, since there is one for each layer.

import { label, linear, ticks } from "./chart.js";
import { svg } from "./dom.js";

const [WIDTH, HEIGHT] = [260, 190];
const MARGIN = { top: 8, right: 10, bottom: 34, left: 50 };

/** The drawing. `points`: [{x, y, name, top}]; `top` is drawn over the others and named. `y`: the range, of all layers. */
export function scatter({ points, x = [0, 1], y, xLabel, yLabel, summary }) {
  const across = linear(x, [MARGIN.left, WIDTH - MARGIN.right]);
  const up = linear(y, [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const dot = (point) =>
    svg("circle", { class: `unit ${point.top ? "top" : ""}`, cx: across(point.x).toFixed(1), cy: up(point.y).toFixed(1), r: point.top ? 4 : 3 }, svg("title", {}, point.name));
  const sorted = [...points].sort((one, other) => Number(one.top) - Number(other.top));
  return svg(
    "svg",
    { class: "scatter", role: "img", "aria-label": summary, viewBox: `0 0 ${WIDTH} ${HEIGHT}` },
    svg(
      "g",
      { class: "axes" },
      ticks(y).flatMap((value) => [
        svg("line", { class: "grid", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: up(value), y2: up(value) }),
        svg("text", { x: MARGIN.left - 6, y: up(value), dy: "0.32em", "text-anchor": "end" }, label(value)),
      ]),
      [0, 0.5, 1].map((value) => svg("text", { x: across(value), y: HEIGHT - MARGIN.bottom + 14, "text-anchor": "middle" }, label(value))),
      svg("text", { class: "name", x: (MARGIN.left + WIDTH - MARGIN.right) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, xLabel),
      svg("text", { class: "name", x: 11, y: (HEIGHT - MARGIN.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${(HEIGHT - MARGIN.bottom) / 2})` }, yLabel),
    ),
    sorted.map(dot),
  );
}
