// SPDX-License-Identifier: Apache-2.0
/** The proof of an answer: a light client reads it from the chain, and the page compares. */

import { h } from "./elements.js";
import { same } from "./proof.js";

/** @typedef {import("./light.js").Told} Told */

/**
 * What the chain proves, against what the gateway showed.
 *
 * @param {import("./light.js").Proven} proven
 * @param {string} shown
 */
export function verdict({ block, hash, phase, text }, shown) {
  const where = `the final block ${block}, ${hash}`;
  if (text && same(shown, text)) {
    return { holds: true, words: `✓ Proven: the chain has this answer in ${where}.` };
  }
  const words = text
    ? `✗ The chain has another answer than the gateway showed, in ${where}.`
    : `✗ The gateway showed an answer, and the round is ${phase} without one in ${where}.`;
  return { holds: false, words };
}

/**
 * A button that has the answer of a round proven. The light client is loaded when it is pressed,
 * and gone when it has given its result.
 *
 * @param {number} round
 * @param {string} shown the answer, as the gateway gave it
 */
export function verification(round, shown) {
  const status = h("p", { role: "status", class: "proof" });
  const button = h("button", { type: "button", class: "verify", click: begin }, "Verify by proof");
  const place = h("div", { class: "verification" }, button, status);

  function begin() {
    button.disabled = true;
    status.className = "proof";
    status.textContent = "Starting the light client";
    const source = `/light?round=${round}`;
    const frame = h("iframe", { src: source, title: "Light client", hidden: true });
    addEventListener("message", hear);
    place.append(frame);

    /** @param {MessageEvent<Told>} event */
    function hear({ source, origin, data }) {
      // A page that was left has no frame any more.
      if (!place.isConnected) removeEventListener("message", hear);
      if (source !== frame.contentWindow || origin !== location.origin) return;
      if ("words" in data) {
        status.textContent = data.words;
        return;
      }
      removeEventListener("message", hear);
      frame.remove();
      button.disabled = false;
      if ("failed" in data) {
        status.className = "proof bad";
        status.textContent = data.failed;
        return;
      }
      const { holds, words } = verdict(data.proven, shown);
      status.className = holds ? "proof won" : "proof bad";
      status.textContent = words;
      button.hidden = holds;
    }
  }
  return place;
}
