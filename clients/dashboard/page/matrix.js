// SPDX-License-Identifier: Apache-2.0
/** The matrix of scores: a row a ranker, a column an answer. */

import { h, table } from "./elements.js";
import { decimal } from "./format.js";

/** @typedef {import("./gateway.js").Candidate} Candidate */

/**
 * The rankers by weight and what each gave to each candidate.
 *
 * @param {Candidate[]} candidates
 */
export function scores(candidates) {
  /** @type {Map<string, { by: string, weight: number | null, given: (number | null)[] }>} */
  const rows = new Map();
  candidates.forEach(({ rankings }, column) => {
    for (const { by, score, weight } of rankings) {
      const row = rows.get(by) ?? { by, weight, given: candidates.map(() => null) };
      row.given[column] = score;
      rows.set(by, row);
    }
  });
  return [...rows.values()].sort((a, b) => (b.weight ?? 0) - (a.weight ?? 0));
}

/** @param {Candidate[]} candidates */
export function matrix(candidates) {
  const rows = scores(candidates);
  if (rows.length === 0) return h("p", { class: "quiet" }, "No scores are disclosed.");
  const answers = candidates.map(({ agent, won }) =>
    h(
      "th",
      { scope: "col", class: won ? "number won" : "number" },
      `${won ? "★ " : ""}${agent.name}`,
    ),
  );
  const body = rows.map(({ by, weight, given }) => {
    const cells = given.map((score) => {
      const cell = h("td", { class: "score" }, decimal(score, 4));
      cell.style.setProperty("--of-one", String(score ?? 0));
      return cell;
    });
    const edge = h("td", { class: "number" }, decimal(weight, 4));
    return h("tr", {}, h("th", { scope: "row" }, by), edge, ...cells);
  });
  const means = candidates.map(({ score }) => h("td", { class: "number" }, decimal(score, 4)));
  return table(
    "Matrix of scores",
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "ranker"),
        h("th", { scope: "col", class: "number" }, "weight"),
        ...answers,
      ),
    ),
    h("tbody", {}, ...body),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "mean by weight"), h("td", {}), ...means)),
  );
}
