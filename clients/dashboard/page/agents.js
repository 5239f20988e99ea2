// SPDX-License-Identifier: Apache-2.0
/** The page of agents: models, bonds, tickets, and ratings over rounds. */

import { chart } from "./chart.js";
import { h, slot, stranger, table } from "./elements.js";
import { decimal, money, short } from "./format.js";
import { agents, rounds } from "./gateway.js";
import { poll, troubles } from "./poll.js";

/** @typedef {import("./gateway.js").Agent} Agent */
/** @typedef {import("./gateway.js").Listed} Listed */

/**
 * The rating of each agent by round. It outlives the page, so that rounds stay which the chain has
 * removed since.
 *
 * @type {Map<string, Map<number, number>>}
 */
const history = new Map();

/**
 * Adds what is known of ratings: at the assignment of each round, and now, before `next`.
 *
 * @param {typeof history} known
 * @param {Listed[]} listed
 * @param {Agent[]} now
 */
export function learn(known, listed, now) {
  const note = (
    /** @type {string} */ agent,
    /** @type {number} */ round,
    /** @type {number} */ rating,
  ) => {
    const of = known.get(agent) ?? new Map();
    known.set(agent, of.set(round, rating));
  };
  for (const { round, ratings } of listed)
    for (const { agent, rating } of ratings) note(agent, round, rating);
  const next = Math.max(-1, ...listed.map(({ round }) => round)) + 1;
  for (const { agent, rating } of now) if (rating !== null) note(agent, next, rating);
}

/**
 * @param {typeof history} known
 * @param {Agent[]} now
 */
export function lines(known, now) {
  return now.flatMap(({ agent, name }) => {
    const points = [...(known.get(agent) ?? [])].sort(([a], [b]) => a - b);
    return points.length ? [{ name, points }] : [];
  });
}

/**
 * Whether an agent takes part, and the hardware that attests its code.
 *
 * @param {Pick<Agent, "active" | "chilled" | "attested">} agent
 */
export function state({ active, chilled, attested }) {
  const part = chilled ? "chilled" : active ? "active" : "not active";
  return attested ? `${part}, attested (${attested.kind.toUpperCase()})` : part;
}

/**
 * The state of each account among all agents.
 *
 * @param {Agent[]} all
 */
export function standings(all) {
  const known = new Map(all.map((agent) => [agent.agent, state(agent)]));
  return (/** @type {import("./gateway.js").Account} */ { address }) =>
    known.get(address) ?? "no agent any more";
}

/** @type {import("./app.js").Page} */
export function agentsPage(main, room) {
  const trouble = troubles();
  const currency = room.currency();
  const heads = [
    "agent",
    "state",
    "model",
    "rating",
    "weight",
    "bond",
    "reserved",
    "free tickets",
    "staked",
    "open rounds",
  ];
  const drawn = slot((/** @type {ReturnType<typeof lines>} */ all) => [
    all.length
      ? chart("Ratings over rounds", all)
      : h("p", { class: "quiet" }, "No rating is known."),
  ]);
  const listed = slot((/** @type {Agent[]} */ all) => [
    table(
      "Agents",
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...heads.map((head, index) =>
            h("th", { scope: "col", class: index > 2 ? "number" : "" }, head),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        ...all.map((agent) => {
          const numbers = [
            decimal(agent.rating, 4),
            decimal(agent.weight, 4),
            money(agent.bond, currency),
            money(agent.reserved, currency),
            money(agent.tickets.free, currency),
            money(agent.tickets.staked, currency),
            String(agent.open_rounds),
          ];
          const name = agent.name.includes("…") ? short(agent.agent) : agent.name;
          return h(
            "tr",
            {},
            h("th", { scope: "row", title: agent.agent }, name),
            h("td", {}, state(agent)),
            h("td", {}, stranger(agent.model)),
            ...numbers.map((text) => h("td", { class: "number" }, text)),
          );
        }),
      ),
    ),
  ]);
  main.append(
    h("h1", {}, "Agents"),
    trouble,
    h("h2", {}, "Ratings over rounds"),
    h(
      "p",
      { class: "quiet small" },
      "As of the assignment of each stored round, and now at the right end.",
    ),
    drawn.node,
    h("h2", {}, "All agents"),
    listed.node,
  );
  poll(2, room.signal, trouble, async () => {
    const [now, past] = await Promise.all([agents(room.signal), rounds(room.signal)]);
    learn(history, past.data, now.data);
    drawn.set(lines(history, now.data));
    listed.set(now.data);
  });
}
