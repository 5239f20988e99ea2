// SPDX-License-Identifier: Apache-2.0
/** The page of rounds: what is open, by phase, and what ended last. */

import { h, keyed, slot, stranger, table } from "./elements.js";
import { count, money } from "./format.js";
import { rounds } from "./gateway.js";
import { poll, troubles } from "./poll.js";

/** @typedef {import("./gateway.js").Listed} Listed */

const PHASES = ["Committing", "Revealing", "Ranking", "Disclosing"];

/** @param {string} phase */
export const isOver = (phase) => phase === "done" || phase === "failed";

/**
 * A bar for each phase. Each is a quarter of the round.
 *
 * @param {number} thousandths
 */
export function phases(thousandths) {
  const bars = PHASES.map((name, index) => {
    const value = Math.min(Math.max(thousandths - index * 250, 0), 250);
    return h("span", {}, name, h("progress", { max: 250, value, "aria-label": name }));
  });
  return h("div", { class: "phases" }, ...bars);
}

/**
 * The pace of rounds as a table: a row a phase.
 *
 * @param {import("./gateway.js").Pace} pace
 */
function paces({ rounds, phases: all }) {
  if (rounds === 0) {
    const words = "The gateway has seen no round from its request to its answer yet.";
    return h("p", { class: "quiet small" }, words);
  }
  const heads = ["phase", "half within", "95 % within"];
  const blocks = (/** @type {number | null} */ number) =>
    number === null ? "–" : count(number, "block");
  const rows = all.map(({ phase, half, most }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, phase),
      ...[half, most].map((number) => h("td", { class: "number" }, blocks(number))),
    ),
  );
  return table(
    "Pace of the phases",
    h("caption", {}, `The last ${rounds} answered rounds that the gateway has seen`),
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

/** @param {import("./app.js").Room} room */
function card(room) {
  const line = slot((/** @type {Listed} */ one) => {
    const took = `after ${one.since - one.requested_at} blocks`;
    const end = one.winner
      ? h("span", { class: "won" }, `won by ${one.winner.name} ${took}`)
      : one.failure && h("span", { class: "bad" }, `failed ${took}: ${one.failure}`);
    return [
      h(
        "p",
        {},
        h("a", { href: `/round/${one.round}` }, `Round ${one.round}`),
        h(
          "span",
          { class: "quiet small" },
          ` block ${one.requested_at} by ${one.requester.name}, `,
        ),
        h("span", { class: "quiet small" }, `${money(one.fee, room.currency())} `),
        end || null,
      ),
      h("p", {}, stranger(one.prompt, "excerpt")),
      one.answer === null
        ? null
        : h("blockquote", { class: "best" }, stranger(one.answer, "excerpt")),
      isOver(one.phase) ? null : phases(one.thousandths),
      isOver(one.phase) ? null : h("p", { class: "small" }, one.words),
    ];
  }, "li");
  line.node.className = "round";
  return line;
}

/** @type {import("./app.js").Page} */
export function roundsPage(main, room) {
  const trouble = troubles();
  const open = h("ul", { class: "cards", id: "open" });
  const over = h("ul", { class: "cards", id: "over" });
  const noneOpen = h("p", { class: "quiet" }, "None is open.");
  const noneOver = h("p", { class: "quiet" }, "The chain stores none.");
  const pace = slot((/** @type {import("./gateway.js").Pace} */ now) => [paces(now)]);
  const none = [noneOpen, noneOver];
  main.append(
    h("h1", {}, "Rounds"),
    trouble,
    h("h2", {}, "Open"),
    noneOpen,
    open,
    h("h2", {}, "Pace"),
    pace.node,
    h("h2", {}, "Over"),
    noneOver,
    over,
  );
  for (const words of none) words.hidden = true;
  const key = (/** @type {Listed} */ one) => one.round;
  const setOpen = keyed(open, key, () => card(room));
  const setOver = keyed(over, key, () => card(room));
  poll(1, room.signal, trouble, async () => {
    const { data, pace: now } = await rounds(room.signal);
    const ended = data.filter(({ phase }) => isOver(phase));
    const going = data.filter(({ phase }) => !isOver(phase));
    setOpen(going);
    setOver(ended);
    noneOpen.hidden = going.length > 0;
    noneOver.hidden = ended.length > 0;
    pace.set(now);
  });
}
