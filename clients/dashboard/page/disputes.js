// SPDX-License-Identifier: Apache-2.0
/** The page of disputes: the cases that the chain stores, or why there are none. */

import { standings } from "./agents.js";
import { h, slot, stranger, table } from "./elements.js";
import { count, span } from "./format.js";
import { agents, disputes } from "./gateway.js";
import { poll, troubles } from "./poll.js";

/** @typedef {import("./gateway.js").Case} Case */
/** @typedef {import("./gateway.js").Court} Court */

/**
 * Why nobody can be accused, if that is so.
 *
 * @param {Court} court
 */
export function closed(court) {
  if (court === "open") return null;
  if (court === "none") return "The runtime of this chain has no disputes.";
  return (
    "Disputes are closed: nobody can be accused on this chain until its governance says what " +
    "part of the bond a conviction costs (slash). A committee of an unpopular model risks less " +
    "than it can take."
  );
}

/**
 * The end of the phase of a case in blocks.
 *
 * @param {Pick<Case, "phase" | "due">} one
 * @param {number} block
 */
export function deadline({ phase, due }, block) {
  const left = due - block;
  const when = left > 0 ? `in ${count(left, "block")} (${due})` : `now (${due})`;
  return phase === "closed" ? `forgotten ${when}` : when;
}

/**
 * The work of a committee so far.
 *
 * @param {Pick<Case, "committee">} one
 */
export function progress({ committee }) {
  if (committee.length === 0) return "not drawn";
  const revealed = committee.filter(({ state }) => state === "revealed").length;
  const committed = committee.filter(({ state }) => state !== "silent").length;
  return `${committed} of ${committee.length} committed, ${revealed} revealed`;
}

/**
 * The name of the model of a case, or the beginning of its hash.
 *
 * @param {Pick<Case, "model" | "model_name">} one
 */
export const model = ({ model, model_name: name }) => stranger(name ?? `${model.slice(0, 16)}…`);

/**
 * A case, and the states of its accused agents.
 *
 * @typedef {{ one: Case, states: string[] }} Line
 */

/**
 * The table of cases. Its cells of `ends` are filled later: a new block changes nothing else, and
 * the focus stays.
 *
 * @param {Line[]} lines
 * @param {Map<number, HTMLElement>} ends
 */
function docket(lines, ends) {
  const heads = ["case", "phase", "ends", "accuser", "accused", "model", "layers", "committee"];
  const rows = lines.map(({ one, states }) => {
    const end = h("td");
    ends.set(one.case, end);
    const accused = one.accused.map(({ agent, verdict }, index) =>
      h(
        "div",
        { title: agent.address, class: verdict === "guilty" ? "bad" : "" },
        `${agent.name}: ${verdict ? `${verdict}, ` : ""}${states[index]}`,
      ),
    );
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: `/dispute/${one.case}` }, `Case ${one.case}`)),
      h("td", {}, one.phase),
      end,
      h("td", { title: one.accuser.address }, one.accuser.name),
      h("td", {}, ...accused),
      h("td", {}, model(one)),
      h("td", {}, span(one.layers)),
      h("td", {}, progress(one)),
    );
  });
  return table(
    "Cases",
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...rows),
  );
}

/** @type {import("./app.js").Page} */
export function disputesPage(main, room) {
  const trouble = troubles();
  const why = slot((/** @type {Court} */ court) => [closed(court)], "p");
  why.node.id = "court";
  /** @type {Map<number, HTMLElement>} */
  const ends = new Map();
  const cases = slot((/** @type {Line[]} */ lines) => [
    lines.length ? docket(lines, ends) : h("p", { class: "quiet", id: "none" }, "No disputes."),
  ]);
  main.append(
    h("h1", {}, "Disputes"),
    h(
      "p",
      { class: "quiet small" },
      "Two servers of layers signed different outputs of one computation. Drawn agents that " +
        "hold the model compute it again, and the chain slashes whoever returned rows that are " +
        "not the model's.",
    ),
    trouble,
    why.node,
    cases.node,
  );
  poll(2, room.signal, trouble, async () => {
    const [now, known] = await Promise.all([disputes(room.signal), agents(room.signal)]);
    const standing = standings(known.data);
    why.set(now.court);
    cases.set(
      now.data.map((one) => ({ one, states: one.accused.map(({ agent }) => standing(agent)) })),
    );
    for (const one of now.data) ends.get(one.case)?.replaceChildren(deadline(one, now.block));
  });
}
