// SPDX-License-Identifier: Apache-2.0
/** The page of one case: who accuses whom, the committee, the verdict, what it costs. */

import { standings } from "./agents.js";
import { deadline, model, progress } from "./disputes.js";
import { facts, h, slot, table } from "./elements.js";
import { money, short, span } from "./format.js";
import { agents, dispute, Failed } from "./gateway.js";
import { poll, tell, troubles } from "./poll.js";

/** @typedef {import("./gateway.js").Case} Case */
/** @typedef {import("./gateway.js").Accused} Accused */
/** @typedef {import("./gateway.js").Executor} Executor */
/** @typedef {import("./format.js").Currency} Currency */

/** @param {Case} one */
const isClosed = ({ phase }) => phase === "closed";

/**
 * The fate of what is locked of an accused agent.
 *
 * @param {Case} one
 * @param {Accused} accused
 */
export function fate(one, { verdict }) {
  if (isClosed(one)) return verdict === "guilty" ? "slashed" : "free again";
  if (verdict !== "guilty") return "locked";
  if (one.appealed) return "slashed, if the appeal rules likewise";
  return "slashed, unless somebody appeals";
}

/**
 * The standing of an appeal.
 *
 * @param {Case} one
 */
export function appeal(one) {
  if (one.appealed)
    return isClosed(one)
      ? "there was one, and the ruling is its outcome"
      : "a second committee judges; the ruling is that of the first one";
  if (one.phase === "judged") return `accuser and accused may appeal before block ${one.due}`;
  return isClosed(one) ? "none" : null;
}

/**
 * The head of a table.
 *
 * @param {string[]} heads
 * @param {number} [numbers] the column of numbers
 */
function head(heads, numbers) {
  const cells = heads.map((words, index) =>
    h("th", { scope: "col", class: index === numbers ? "number" : "" }, words),
  );
  return h("thead", {}, h("tr", {}, ...cells));
}

/** @param {import("./gateway.js").Account} agent */
const name = (agent) => h("th", { scope: "row", title: agent.address }, agent.name);

/**
 * @param {Case} one
 * @param {string[]} states
 * @param {Currency} currency
 */
function parties(one, states, currency) {
  const rows = one.accused.map((accused, index) => {
    const { agent, stake, verdict } = accused;
    const bad = verdict === "guilty" ? "bad" : "";
    return h(
      "tr",
      {},
      name(agent),
      h("td", {}, String(states[index])),
      h("td", { class: bad }, verdict ?? "–"),
      h("td", { class: "number" }, money(stake, currency)),
      h("td", { class: bad }, fate(one, accused)),
    );
  });
  const heads = head(["agent", "state", "verdict", "locked", "which is"], 3);
  return table("Accused agents", heads, h("tbody", {}, ...rows));
}

/**
 * @param {Executor[]} committee
 * @param {string[]} states
 */
function members(committee, states) {
  const rows = committee.map(({ agent, state, finding }, index) =>
    h(
      "tr",
      {},
      name(agent),
      h("td", {}, String(states[index])),
      h("td", {}, state),
      h("td", {}, finding),
    ),
  );
  const heads = head(["agent", "state", "work", "finding"]);
  return table("Committee", heads, h("tbody", {}, ...rows));
}

/** @type {import("./app.js").Page} */
export function disputePage(main, room, id) {
  const trouble = troubles();
  const currency = room.currency();
  const about = slot((/** @type {{ one: Case, block: number, state: string }} */ now) => {
    const { one, block, state } = now;
    const accuser = `${one.accuser.name} (${short(one.accuser.address)}), ${state}`;
    return [
      facts([
        ["ruling", one.ruling ?? "none yet"],
        ["appeal", appeal(one)],
        ["phase", one.phase],
        [isClosed(one) ? "kept" : "ends", deadline(one, block)],
        ["opened", `in block ${one.opened}`],
        ["accuser", accuser],
        ["its bond", money(one.bond, currency)],
        ["model", model(one)],
        ["its file", `SHA-256 ${one.model}`],
        ["layers", span(one.layers)],
        ["exhibit", one.published ? "on chain" : "with the accuser's node"],
      ]),
    ];
  });
  // A new block changes neither table, so that their focus stays.
  const accused = slot((/** @type {{ one: Case, states: string[] }} */ { one, states }) => [
    h("h2", {}, "Accused"),
    parties(one, states, currency),
  ]);
  const committee = slot((/** @type {{ one: Case, states: string[] }} */ { one, states }) => [
    h("h2", {}, one.appealed ? "Committee of the appeal" : "Committee"),
    h("p", { class: "quiet small" }, progress(one)),
    ...(one.committee.length
      ? [
          members(one.committee, states),
          h("p", { class: "quiet small" }, "Who stays silent is fined."),
        ]
      : []),
  ]);
  const title = h("h1", {}, `Case ${id}`);
  const note = h("p", { class: "quiet small" });
  main.append(title, trouble, about.node, accused.node, committee.node, note);
  let seen = false;
  poll(2, room.signal, trouble, async () => {
    let now;
    try {
      now = await Promise.all([dispute(id, room.signal), agents(room.signal)]);
    } catch (error) {
      const isGone = error instanceof Failed && error.code === "case_not_found";
      if (!seen || !isGone) throw error;
      tell(note, "The chain has forgotten this case. The page shows what it last was.");
      return true;
    }
    seen = true;
    const [{ block, ...one }, { data }] = now;
    const standing = standings(data);
    const states = (/** @type {{ agent: import("./gateway.js").Account }[]} */ all) =>
      all.map(({ agent }) => standing(agent));
    title.textContent = `Case ${one.case}: ${one.phase}`;
    about.set({ one, block, state: standing(one.accuser) });
    accused.set({ one, states: states(one.accused) });
    committee.set({ one, states: states(one.committee) });
  });
}
