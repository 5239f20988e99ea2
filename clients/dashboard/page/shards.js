// SPDX-License-Identifier: Apache-2.0
/** The page of layers: which node serves which layers of a model, and where the model is weak. */

import { facts, h, slot, stranger, svg, table } from "./elements.js";
import { decimal, short, span } from "./format.js";
import { layers } from "./gateway.js";
import { poll, troubles } from "./poll.js";

/** @typedef {import("./gateway.js").Holder} Holder */
/** @typedef {import("./gateway.js").ModelMap} ModelMap */

/** The style sheet has so many shades of a layer; the last one is for this many holders or more. */
const SHADES = 3;

/**
 * The tokens that a holder computes in a second, through all its layers.
 *
 * @param {Holder} holder
 */
export function rate({ throughput, layers: [start, end] }) {
  return end > start ? throughput / (end - start) : 0;
}

/**
 * For each layer its holders that are heard, and the tokens that they compute in a second. Layers
 * of strangers beyond the model's own do not count.
 *
 * @param {ModelMap} model
 */
export function coverage({ layers: count, holders }) {
  const all = Array.from({ length: count }, () => ({ holders: 0, rate: 0 }));
  for (const holder of holders) {
    const [start, end] = holder.layers;
    if (holder.state === "stale") continue;
    for (const layer of all.slice(start, end)) {
      layer.holders += 1;
      layer.rate += rate(holder);
    }
  }
  return all;
}

/**
 * Layers as people write them: 0–3, 7.
 *
 * @param {number[]} numbers in their order
 */
export function ranges(numbers) {
  /** @type {[number, number][]} */
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

/**
 * What a model lacks, in words.
 *
 * @param {ModelMap} model
 */
export function health(model) {
  const all = coverage(model);
  const held = all.filter(({ holders }) => holders > 0).length;
  const missing = all.flatMap(({ holders }, index) => (holders ? [] : [index]));
  const least = Math.min(...all.map((layer) => layer.rate));
  const weak = all.flatMap((layer, index) => (layer.rate === least ? [index] : []));
  const holders = Math.min(...weak.map((index) => all[index]?.holders ?? 0));
  return {
    coverage: `${held} of ${all.length} layers`,
    missing: missing.length ? ranges(missing) : null,
    weakest:
      held === all.length && held > 0
        ? `${ranges(weak)}: ${decimal(least, 1)} tokens a second by ${holders} ` +
          (holders === 1 ? "holder" : "holders")
        : null,
  };
}

/** @param {ModelMap} model */
function strip(model) {
  const all = coverage(model);
  const parts = all.map(({ holders }, index) =>
    svg("rect", {
      class: `held-${Math.min(holders, SHADES)}`,
      x: index + 0.05,
      y: 0,
      width: 0.9,
      height: 1,
    }),
  );
  const counts = all.map(({ holders }, index) => `${index}: ${holders}`).join(", ");
  return svg(
    "svg",
    {
      class: "layers",
      viewBox: `0 0 ${all.length} 1`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `Holders of each layer. ${counts}`,
    },
    ...parts,
  );
}

/**
 * @param {Holder} holder
 * @param {number} count
 */
function bar({ layers: [start, end], state }, count) {
  const [from, to] = [Math.min(start, count), Math.min(end, count)];
  return svg(
    "svg",
    {
      class: "layers",
      viewBox: `0 0 ${count} 1`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { class: "held-0", x: 0, y: 0, width: count, height: 1 }),
    svg("rect", { class: `is-${state}`, x: from, y: 0, width: Math.max(to - from, 0), height: 1 }),
  );
}

/** @param {ModelMap} model */
function map(model) {
  const heads = ["agent", "layers", "", "state", "tokens/s", "round trip", "trust", "sessions"];
  const rows = model.holders.map((holder) => {
    const numbers = [
      decimal(rate(holder), 1),
      holder.rtt === null ? "–" : `${decimal(holder.rtt * 1000, 1)} ms`,
      decimal(holder.trust, 2),
      `${holder.free_sessions} free`,
    ];
    const who = holder.name ?? short(holder.agent);
    const about = `${holder.agent}, node …${holder.peer}, heard ${holder.heard} s ago`;
    return h(
      "tr",
      {},
      h("th", { scope: "row", title: about }, `${who}${holder.own ? " (this node)" : ""}`),
      h("td", {}, span(holder.layers)),
      h("td", { class: "map" }, bar(holder, model.layers)),
      h("td", { class: holder.state === "stale" ? "bad" : "" }, holder.state),
      ...numbers.map((text) => h("td", { class: "number" }, text)),
    );
  });
  return table(
    "Holders of layers",
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...heads.map((head, index) =>
          head
            ? h("th", { scope: "col", class: index > 3 ? "number" : "" }, head)
            : h("td", { class: "map" }),
        ),
      ),
    ),
    h("tbody", {}, ...rows),
    h(
      "tfoot",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "row" }, "all"),
        h("td", {}, model.layers > 0 ? `0–${model.layers - 1}` : ""),
        h("td", { class: "map" }, strip(model)),
        h("td", { colspan: heads.length - 3 }),
      ),
    ),
  );
}

/** @param {ModelMap} model */
function section(model) {
  const { coverage: held, missing, weakest } = health(model);
  const lacks = missing && h("span", { class: "bad" }, missing);
  return h(
    "section",
    {},
    h("h2", {}, stranger(model.name ?? `Model ${model.sha256.slice(0, 16)}…`)),
    facts([
      ["held", held],
      ["missing", lacks],
      ["weakest", weakest],
      ["holders", String(model.holders.length)],
    ]),
    model.holders.length ? map(model) : null,
  );
}

/** @type {import("./app.js").Page} */
export function shardsPage(main, room) {
  const trouble = troubles();
  const all = slot((/** @type {import("./gateway.js").Layers} */ now) => [
    now.models.length
      ? facts([
          ["failovers", `${now.failovers}: spans that another holder took over from this node`],
          ["evidence", `${now.evidence}: contradicting results that this node has found`],
        ])
      : h(
          "p",
          { class: "quiet", id: "none" },
          now.serves
            ? "The gateway's node computes no layers for others, and uses none of theirs."
            : "The gateway's node runs no agent. Only agents compute layers for each other.",
        ),
    ...now.models.map(section),
  ]);
  main.append(
    h("h1", {}, "Layers"),
    h(
      "p",
      { class: "quiet small" },
      "Models whose layers several nodes compute together, as the gateway's node sees them. What " +
        "holders announce of themselves may be wrong; tokens and round trips are measured where the " +
        "node uses them.",
    ),
    trouble,
    all.node,
  );
  poll(5, room.signal, trouble, async () => all.set(await layers(room.signal)));
}
