// SPDX-License-Identifier: Apache-2.0
/** The page of one round: answers, scores, payouts, blocks. */

import { facts, h, slot, stranger, table } from "./elements.js";
import { decimal, money, share, short } from "./format.js";
import { Failed, round } from "./gateway.js";
import { matrix } from "./matrix.js";
import { poll, tell, troubles } from "./poll.js";
import { isOver } from "./rounds.js";
import { verification } from "./verify.js";

/** @typedef {import("./gateway.js").Report} Report */
/** @typedef {import("./gateway.js").Candidate} Candidate */
/** @typedef {import("./format.js").Currency} Currency */

/** The number of reads after the end: its block may be replaced until it is final. */
const LAST = 3;

/** @param {Candidate} candidate */
function answer({ agent, model, won, text, state, score }) {
  return h(
    "section",
    {},
    h(
      "h3",
      { class: won ? "won" : "" },
      `${won ? "★ " : ""}${agent.name} `,
      h(
        "span",
        { class: "quiet small" },
        typeof score === "number" ? `score ${decimal(score, 4)}` : "",
      ),
    ),
    model ? h("p", { class: "quiet small" }, stranger(model)) : null,
    text === null
      ? h("p", { class: "quiet" }, `(${state})`)
      : h("blockquote", { class: won ? "best" : "" }, stranger(text)),
  );
}

/**
 * @param {Candidate[]} candidates
 * @param {Currency} currency
 */
function ledger(candidates, currency) {
  const heads = ["agent", "score", "rating", "weight", "paid", "slashed"];
  const rows = candidates.map(({ agent, won, score, rating, weight, paid, slashed }) => {
    const numbers = [
      decimal(score, 4),
      decimal(rating, 4),
      decimal(weight, 4),
      money(paid, currency),
      money(slashed, currency),
    ];
    const name = h("th", { scope: "row", title: agent.address }, `${won ? "★ " : ""}${agent.name}`);
    return h("tr", {}, name, ...numbers.map((text) => h("td", { class: "number" }, text)));
  });
  return table(
    "Agents and payouts",
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...heads.map((head, index) =>
          h("th", { scope: "col", class: index ? "number" : "" }, head),
        ),
      ),
    ),
    h("tbody", {}, ...rows),
  );
}

/**
 * Bars of what the end moved, each as a share of all that was paid out.
 *
 * @param {Report} report
 * @param {Currency} currency
 */
function payouts({ settlement, terms }, currency) {
  if (!settlement)
    return h(
      "p",
      { class: "quiet" },
      "Not known: the round is not over, or the node has dropped its last block.",
    );
  const paid = [
    ["to the winner", "winner"],
    ["to the rankers", "rankers"],
    ["to the treasury", "treasury"],
    ["back to the requester", "refunded"],
    ["burnt", "burnt"],
  ];
  const amount = (/** @type {string} */ name) => settlement[name] ?? "0";
  const sum = paid.reduce((sum, [, name]) => sum + BigInt(amount(String(name))), 0n);
  const bars = paid.flatMap(([words, name]) => {
    const value = share(amount(String(name)), sum);
    const text = `${money(amount(String(name)), currency)}, ${(value * 100).toFixed(1)} %`;
    return [
      h("dt", {}, String(words)),
      h("dd", {}, text, h("meter", { min: 0, max: 1, value, "aria-label": String(words) })),
    ];
  });
  return h(
    "div",
    { class: "card" },
    h("dl", { class: "bars" }, ...bars),
    facts([
      ["paid out", money(String(sum), currency)],
      ["fee", money(terms.fee, currency)],
      ["subsidy", money(amount("subsidy"), currency)],
      ["tickets lost", money(amount("forfeited"), currency)],
      ["bonds lost", money(amount("slashed"), currency)],
    ]),
  );
}

/** @type {import("./app.js").Page} */
export function roundPage(main, room, id) {
  const trouble = troubles();
  const currency = room.currency();
  const head = slot((/** @type {Report} */ one) => [
    h("p", {}, one.why),
    h("h2", {}, "Question"),
    h("blockquote", { id: "prompt" }, stranger(one.prompt)),
    facts([
      ["asked by", `${one.requester.name} (${short(one.requester.address)})`],
      ["fee", money(one.terms.fee, currency)],
      ["on hold", `${money(one.terms.deposit, currency)} until the round is removed`],
      [
        "answers",
        `${one.terms.min_responses} to ${one.terms.max_responses}, ` +
          `at most ${one.terms.max_tokens} tokens each`,
      ],
      ["blocks", one.blocks.map(({ phase, block }) => `${phase} ${block}`).join(", ")],
    ]),
  ]);
  const answers = slot((/** @type {Candidate[]} */ all) => [
    h("h2", {}, "Answers"),
    ...(all.length ? all.map(answer) : [h("p", { class: "quiet" }, "None is committed.")]),
  ]);
  const given = slot((/** @type {Candidate[]} */ all) => [h("h2", {}, "Scores"), matrix(all)]);
  const agents = slot((/** @type {Candidate[]} */ all) => [
    h("h2", {}, "Agents"),
    ledger(all, currency),
  ]);
  const moved = slot((/** @type {Report} */ one) => [
    h("h2", {}, "Payouts"),
    payouts(one, currency),
  ]);
  const title = h("h1", {}, `Round ${id}`);
  const note = h("p", { class: "quiet small" });
  const proof = slot((/** @type {string} */ answer) => [verification(Number(id), answer)]);
  const parts = [head, answers, proof, given, agents, moved].map(({ node }) => node);
  main.append(title, trouble, ...parts, note);
  let left = LAST;
  let shown = false;
  poll(1, room.signal, trouble, async () => {
    /** @type {Report} */
    let one;
    try {
      one = await round(id, room.signal);
    } catch (error) {
      const isGone = error instanceof Failed && error.code === "round_not_found";
      if (!shown || !isGone) throw error;
      tell(note, "The chain has removed this round. The page shows what it last was.");
      return true;
    }
    shown = true;
    title.textContent = `Round ${one.round}: ${one.failure ?? one.phase}`;
    head.set(one);
    answers.set(one.candidates);
    given.set(one.candidates);
    agents.set(one.candidates);
    moved.set(one);
    note.textContent = "Texts come from models of strangers. They are data, and may be wrong.";
    if (one.phase === "done" && one.answer !== null) proof.set(one.answer);
    if (isOver(one.phase)) left -= 1;
    return left === 0;
  });
}
