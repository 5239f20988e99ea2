// SPDX-License-Identifier: Apache-2.0
/** Reads again and again while a page is open and seen. */

import { h } from "./elements.js";
import { Failed } from "./gateway.js";

/** No round or case comes back, and no key becomes right by itself. */
const LASTING = [
  "invalid_api_key",
  "round_not_found",
  "case_not_found",
  "too_few_answers",
  "no_rankings",
  "below_threshold",
];

/**
 * Waits, and then until the page is seen.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(seconds, signal) {
  return new Promise((resolve) => {
    const go = () => {
      if (document.hidden && !signal.aborted) return;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", go);
      signal.removeEventListener("abort", go);
      resolve();
    };
    const timer = setTimeout(() => {
      document.addEventListener("visibilitychange", go);
      go();
    }, seconds * 1000);
    signal.addEventListener("abort", go);
  });
}

/**
 * Calls `work` until it returns true or the page is left.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @param {HTMLElement} trouble says what went wrong, until it goes right again
 * @param {() => Promise<boolean | void>} work
 */
export async function poll(seconds, signal, trouble, work) {
  while (!signal.aborted) {
    try {
      const done = await work();
      trouble.replaceChildren();
      if (done) return;
    } catch (error) {
      if (signal.aborted) return;
      tell(trouble, error);
      if (error instanceof Failed && LASTING.includes(error.code)) return;
    }
    await pause(seconds, signal);
  }
}

/** A place for troubles. */
export const troubles = () => h("p", { class: "bad", role: "alert" });

/**
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function tell(place, error) {
  const said = error instanceof Error ? error.message : String(error);
  if (place.firstChild?.textContent === said) return;
  const needsKey = error instanceof Failed && error.code === "invalid_api_key";
  place.replaceChildren(said);
  if (needsKey) place.append(" ", h("a", { href: "/settings" }, "Enter the API key"));
}
