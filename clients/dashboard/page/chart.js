// SPDX-License-Identifier: Apache-2.0
/** A chart of numbers in [0, 1] over rounds. */

import { h, svg } from "./elements.js";

/** @typedef {{ name: string, points: [number, number][] }} Line */

/** Narrow screens get a narrow chart, so that its words stay as large as others. */
const [NARROW, WIDE] = [320, 720];
const HEIGHT = 240;
const EDGE = { left: 44, right: 12, top: 10, bottom: 28 };
/** The style sheet has so many strokes. */
const STROKES = 8;

/**
 * The least value of the scale: a step below the least number, since ratings lie close together.
 *
 * @param {Line[]} lines
 */
export function floor(lines) {
  const numbers = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const least = Math.min(1, ...numbers);
  return Math.max(0, Math.floor(least * 10 - 0.001) / 10);
}

/**
 * @param {string} name
 * @param {Line[]} lines
 */
export function chart(name, lines) {
  const full = innerWidth < WIDE ? NARROW : WIDE;
  const across = lines.flatMap(({ points }) => points.map(([x]) => x));
  const [first, last] = [Math.min(...across), Math.max(...across)];
  const least = floor(lines);
  const width = full - EDGE.left - EDGE.right;
  const height = HEIGHT - EDGE.top - EDGE.bottom;
  const x = (/** @type {number} */ at) =>
    EDGE.left + (last > first ? ((at - first) / (last - first)) * width : width / 2);
  const y = (/** @type {number} */ at) => EDGE.top + ((1 - at) / (1 - least || 1)) * height;
  const levels = [0, 0.25, 0.5, 0.75, 1].map((part) => least + part * (1 - least));
  const grid = levels.flatMap((level) => [
    svg("line", {
      class: "grid",
      x1: EDGE.left,
      x2: full - EDGE.right,
      y1: y(level),
      y2: y(level),
    }),
    svg("text", { x: EDGE.left - 6, y: y(level) + 4, "text-anchor": "end" }, level.toFixed(3)),
  ]);
  const strokes = lines.map(({ points }, index) => {
    const [only] = points;
    // A line of one point is not seen.
    const all = points.length === 1 && only ? [only, only] : points;
    const places = all.map(
      ([at, value], place) => `${x(at) + (points.length === 1 ? place * 4 : 0)},${y(value)}`,
    );
    return svg("polyline", { class: `line-${index % STROKES}`, points: places.join(" ") });
  });
  const foot = HEIGHT - 8;
  const ends = [
    svg("text", { x: EDGE.left, y: foot }, `round ${first}`),
    svg("text", { x: full - EDGE.right, y: foot, "text-anchor": "end" }, `round ${last}`),
  ];
  const key = lines.map(({ name }, index) => {
    const stroke = svg("line", {
      class: `line-${index % STROKES}`,
      x1: 0,
      x2: 32,
      y1: 5,
      y2: 5,
      "stroke-width": 3,
    });
    return h("li", {}, svg("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" }, stroke), name);
  });
  const box = { class: "chart", viewBox: `0 0 ${full} ${HEIGHT}`, role: "img", "aria-label": name };
  return h(
    "div",
    { class: "card" },
    svg("svg", box, ...grid, ...strokes, ...ends),
    h("ul", { class: "key" }, ...key),
  );
}
