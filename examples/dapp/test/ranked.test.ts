// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Round, ranked } from "../src/swarm.js";

/** A round of responses by agents A, B …, with these scores of 65535 by one ranker of weight 1. */
function round(winner: string | undefined, scores: (number | undefined)[]): Round {
  const responses = scores.map((score, place) => ({
    agent: String.fromCharCode(65 + place),
    tally: score === undefined ? undefined : { disclosed: 1n, weighted: BigInt(score) },
  }));
  return { round: { winner }, responses } as unknown as Round;
}

const order = (round: Round) =>
  ranked(round)
    .map(({ agent }) => agent)
    .join("");

test("the winner is first, whatever the scores, then the others by score", () => {
  assert.equal(order(round("C", [7, 9, 9, undefined, 8])), "CBEAD");
  assert.equal(order(round("A", [7, 9, 8])), "ABC");
  assert.equal(order(round(undefined, [undefined, 1, 2])), "CBA");
});
