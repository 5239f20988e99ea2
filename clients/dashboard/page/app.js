// SPDX-License-Identifier: Apache-2.0
/** The frame of the pages: which page an address shows, and the state of the swarm. */

import { agentsPage } from "./agents.js";
import { askPage } from "./ask.js";
import { disputePage } from "./dispute.js";
import { disputesPage } from "./disputes.js";
import { h } from "./elements.js";
import { swarm } from "./gateway.js";
import { poll } from "./poll.js";
import { roundPage } from "./round.js";
import { roundsPage } from "./rounds.js";
import { settingsPage } from "./settings.js";
import { shardsPage } from "./shards.js";

/**
 * What a page gets: a signal that it is left, the currency, and a way to read the swarm again.
 *
 * @typedef {{ signal: AbortSignal, currency: () => import("./format.js").Currency,
 *   again: () => void }} Room
 */
/** @typedef {(main: HTMLElement, room: Room, argument: string) => void} Page */

/** The time without a new block after which the chain stands, in milliseconds. */
const STANDS = 30_000;
/** The number of blocks that finality is usually behind at most. */
const BEHIND = 20;

/** The time that the first page waits for the currency, in milliseconds. */
const PATIENCE = 3_000;

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const main = element("main");
const state = element("swarm");

/** @type {import("./format.js").Currency} */
let currency = { symbol: "STAR", decimals: 12 };
let left = new AbortController();
let watching = new AbortController();

/**
 * @param {string} path
 * @returns {[string, Page, string]}
 */
function find(path) {
  const round = /^\/round\/([0-9]+)$/.exec(path)?.[1];
  if (round !== undefined) return [`Round ${round}`, roundPage, round];
  const dispute = /^\/dispute\/([0-9]+)$/.exec(path)?.[1];
  if (dispute !== undefined) return [`Case ${dispute}`, disputePage, dispute];
  if (path === "/agents") return ["Agents", agentsPage, ""];
  if (path === "/ask") return ["Ask", askPage, ""];
  if (path === "/shards") return ["Layers", shardsPage, ""];
  if (path === "/disputes") return ["Disputes", disputesPage, ""];
  if (path === "/settings") return ["Settings", settingsPage, ""];
  return ["Rounds", roundsPage, ""];
}

/** Shows the page of the address. */
function show() {
  left.abort();
  left = new AbortController();
  const [title, page, argument] = find(location.pathname);
  document.title = `${title} – Starling`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  page(main, { signal: left.signal, currency: () => currency, again: watch }, argument);
}

/** Links of the page show another page without a new document, so that what was said stays. */
document.addEventListener("click", (event) => {
  const plain =
    event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href") ?? "";
  if (!plain || event.defaultPrevented || !href.startsWith("/")) return;
  event.preventDefault();
  history.pushState(null, "", href);
  show();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
addEventListener("popstate", show);

/** Tells how the chain is, once it is known. */
async function watch() {
  watching.abort();
  watching = new AbortController();
  let [newest, since] = [-1, performance.now()];
  poll(2, watching.signal, h("p"), async () => {
    const now = await swarm(watching.signal).catch((error) => {
      state.replaceChildren(h("span", { class: "bad" }, error.message));
      throw error;
    });
    currency = now.currency;
    if (now.block !== newest) [newest, since] = [now.block, performance.now()];
    const stands = performance.now() - since;
    const behind = now.block - now.final_block;
    const trouble =
      (stands > STANDS && `no new block for ${Math.round(stands / 1000)} s`) ||
      (behind > BEHIND && `finality is ${behind} blocks behind`);
    state.replaceChildren(
      h("span", { class: trouble ? "bad" : "won" }, trouble || "healthy"),
      `, block ${now.block}, final ${now.final_block}, `,
      `${now.open_rounds} open of ${now.next_round} rounds`,
    );
  });
}

// Pages write amounts, so the currency comes first where the gateway tells it soon.
currency = await swarm(AbortSignal.timeout(PATIENCE)).then(
  (now) => now.currency,
  () => currency,
);
watch();
show();
