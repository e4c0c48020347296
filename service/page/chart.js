// Curves with their bands, as SVG at the size there is. A slider below reads them off: by mouse, finger, keyboard, ear.

import { el, fill, svg } from "./dom.js";
import { interval, number } from "./words.js";

const MARGIN = { top: 12, right: 14, bottom: 42, left: 58 };
const SHAPES = ["", "7 4", "2 3", "9 3 2 3", "12 3"]; // of lines: told apart without colour as well

/**
 * A figure. `series`: [{name, points: [{x, value, low, high}]}]; `lines`: [{value, name}], across; `marks`:
 * [{x, value, low, high, name}], with an interval along x. `say(x)` is what the slider reads x as. What grows is
 * drawn anew by the figure's `renew({series, x, y, summary})`, with the slider where it was.
 */
export function chart({ series, lines = [], marks = [], x = [0, 1], y = [0, 1], xLabel, yLabel, summary, say }) {
  const drawing = svg("svg", { class: "drawing", role: "img", "aria-label": summary });
  const output = el("output", { class: "reading" });
  let places = series[0].points.map((point) => point.x);
  const slider = el("input", { type: "range", min: 0, max: places.length - 1, value: Math.floor(places.length / 2), step: 1, "aria-label": `Read off by ${xLabel}` });
  const figure = el("figure", { class: "chart" }, drawing, legend(series, lines, marks), el("div", { class: "reader" }, slider, output));
  const scale = { x: null, y: null };
  let cursor = null;

  function draw() {
    const width = Math.max(240, drawing.clientWidth || 640);
    const height = Math.round(Math.min(400, Math.max(220, width * 0.55)));
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("height", height);
    scale.x = linear(x, [MARGIN.left, width - MARGIN.right]);
    scale.y = linear(y, [height - MARGIN.bottom, MARGIN.top]);
    cursor = svg("g", { class: "cursor" });
    fill(
      drawing,
      axes(scale, x, y, width, height, xLabel, yLabel),
      lines.map((line) => across(line, scale, width)),
      series.map((each, index) => curve(each, index, scale)),
      marks.map((mark) => along(mark, scale)),
      cursor,
    );
    point();
  }

  function point() {
    const at = places[Number(slider.value)];
    const here = series.map((each) => nearest(each.points, at));
    output.textContent = [say(at), ...here.map((each, index) => `${series.length > 1 ? `${series[index].name}: ` : ""}${interval(each)}`)].join("  ·  ");
    slider.setAttribute("aria-valuetext", output.textContent);
    fill(
      cursor,
      svg("line", { x1: scale.x(at), x2: scale.x(at), y1: scale.y(y[0]), y2: scale.y(y[1]) }),
      here.map((each, index) => svg("circle", { class: `dot series-${index}`, cx: scale.x(at), cy: scale.y(each.value), r: 5 })),
    );
  }

  slider.addEventListener("input", point);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const wanted = scale.x.back(event.clientX - box.left);
    slider.value = String(places.reduce((best, place, index) => (Math.abs(place - wanted) < Math.abs(places[best] - wanted) ? index : best), 0));
    point();
  });
  let drawn = 0;
  new ResizeObserver(() => {
    if (drawing.clientWidth === drawn) return;
    drawn = drawing.clientWidth;
    draw();
  }).observe(drawing);
  draw();
  figure.renew = (next) => {
    const atEnd = Number(slider.value) === places.length - 1;
    ({ series, x, y, summary } = next);
    places = series[0].points.map((each) => each.x);
    slider.max = places.length - 1;
    if (atEnd) slider.value = String(places.length - 1);
    drawing.setAttribute("aria-label", summary);
    draw();
  };
  return figure;
}

/** Maps [from, to] onto [start, end]; `.back` the other way. */
export function linear([from, to], [start, end]) {
  const scaled = (value) => start + ((value - from) / (to - from || 1)) * (end - start);
  scaled.back = (place) => from + ((place - start) / (end - start)) * (to - from);
  return scaled;
}

function nearest(points, x) {
  return points.reduce((best, each) => (Math.abs(each.x - x) < Math.abs(best.x - x) ? each : best));
}

/** Round numbers, five or so. */
export function ticks([from, to]) {
  const rough = (to - from) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999);
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

/** A tick's number, short. */
export function label(value) {
  return Math.abs(value) >= 1000 ? `${+(value / 1000).toFixed(1)} k` : String(+value.toFixed(4)).replace("-", "−");
}

function axes(scale, x, y, width, height, xLabel, yLabel) {
  return svg(
    "g",
    { class: "axes" },
    ticks(y).flatMap((value) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: scale.y(value), y2: scale.y(value) }),
      svg("text", { x: MARGIN.left - 8, y: scale.y(value), dy: "0.32em", "text-anchor": "end" }, label(value)),
    ]),
    ticks(x).map((value) => svg("text", { x: scale.x(value), y: height - MARGIN.bottom + 17, "text-anchor": "middle" }, label(value))),
    svg("text", { class: "name", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { class: "name", x: 12, y: (height - MARGIN.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(height - MARGIN.bottom) / 2})` }, yLabel),
  );
}

function curve({ points }, index, scale) {
  const path = (name) => points.map((each) => `${scale.x(each.x).toFixed(1)},${scale.y(each[name]).toFixed(1)}`);
  return svg(
    "g",
    { class: `curve series-${index}` },
    svg("polygon", { class: "band", points: [...path("high"), ...path("low").reverse()].join(" ") }),
    svg("polyline", { class: "line", points: path("value").join(" "), "stroke-dasharray": SHAPES[index % SHAPES.length] }),
  );
}

function across({ value }, scale, width) {
  return svg("line", { class: "across", x1: MARGIN.left, x2: width - MARGIN.right, y1: scale.y(value), y2: scale.y(value) });
}

function along({ x, value, low, high }, scale) {
  const y = scale.y(value);
  const size = 6;
  return svg(
    "g",
    { class: "point" },
    svg("line", { x1: scale.x(low), x2: scale.x(high), y1: y, y2: y }),
    svg("path", { d: `M${scale.x(x)} ${y - size}l${size} ${size}l${-size} ${size}l${-size} ${-size}z` }),
  );
}

function legend(series, lines, marks) {
  const entry = (kind, index, name) =>
    el("li", {}, svg("svg", { class: "sample", viewBox: "0 0 28 12", "aria-hidden": "true" }, sample(kind, index)), name);
  return el(
    "ul",
    { class: "legend" },
    series.map((each, index) => entry("series", index, each.name)),
    marks.map((mark) => entry("mark", 0, mark.name)),
    lines.map((line) => entry("line", 0, line.name)),
  );
}

function sample(kind, index) {
  if (kind === "series") {
    return svg("g", { class: `curve series-${index}` }, svg("rect", { class: "band", width: 28, height: 12 }), svg("line", { class: "line", x1: 0, x2: 28, y1: 6, y2: 6, "stroke-dasharray": SHAPES[index % SHAPES.length] }));
  }
  if (kind === "mark") return svg("g", { class: "point" }, svg("path", { d: "M14 1l5 5l-5 5l-5 -5z" }));
  return svg("line", { class: "across", x1: 0, x2: 28, y1: 6, y2: 6 });
}

/** A curve's points as a table, for who would rather read. */
export function table(series, xLabel) {
  const heads = [xLabel, ...series.flatMap(({ name }) => [name, "low", "high"])];
  return el(
    "details",
    { class: "points" },
    el("summary", {}, "The numbers, as a table"),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "The curve's numbers" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, series[0].points.map((point) => row(series, point.x))),
      ),
    ),
  );
}

function row(series, x) {
  const cells = series.flatMap(({ points }) => {
    const here = nearest(points, x);
    return [here.value, here.low, here.high];
  });
  return el("tr", {}, [x, ...cells].map((value) => el("td", {}, number(value))));
}
