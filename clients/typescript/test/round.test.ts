// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseView } from "../src/chain.js";
import { outcomeOf, progress, roundOf } from "../src/round.js";
import { counts, response, view } from "./views.js";

const order = (winner: string | undefined, scores: (number | undefined)[]) => {
  const responses = scores.map((score, place) =>
    response(String.fromCharCode(65 + place), { score }),
  );
  return roundOf(view({ winner, responses }))
    .responses.map(({ agent }) => agent)
    .join("");
};

test("the winner is first, whatever the scores, then the others by score", () => {
  assert.equal(order("C", [7, 9, 9, undefined, 8]), "CBEAD");
  assert.equal(order("A", [7, 9, 8]), "ABC");
  assert.equal(order(undefined, [undefined, 1, 2]), "CBA");
});

test("the answer is the text of the winner and of nobody else", () => {
  const responses = [response("A", { text: "blue" }), response("B", { text: "red" })];
  const done = roundOf(view({ phase: { type: "Done" }, winner: "B", responses }));
  assert.equal(done.answer, "red");
  assert.deepEqual(
    done.responses.map(({ won }) => won),
    [true, false],
  );
  assert.equal(roundOf(view({ responses })).answer, undefined);
});

test("a response is sealed, then valid or spoiled", () => {
  const responses = [
    response("A", {}),
    response("B", { text: "blue" }),
    response("C", { spoiled: true }),
  ];
  const states = roundOf(view({ responses })).responses.map(({ state }) => state);
  assert.deepEqual(states, ["sealed", "valid", "spoiled"]);
});

test("scores, ratings and weights are shares of one, or unknown", () => {
  const [ranked, unranked] = roundOf(
    view({
      responses: [
        { ...response("A", { score: 65535 }), rating: 1n << 31n, weight: 1n << 30n },
        response("B", {}),
      ],
    }),
  ).responses;
  assert.deepEqual([ranked?.score, ranked?.rating, ranked?.weight], [1, 0.5, 0.25]);
  assert.deepEqual(
    [unranked?.score, unranked?.rating, unranked?.weight],
    [undefined, undefined, undefined],
  );
});

test("shares of votes are shares of one", () => {
  const view = { is_voted: true, votes: 3, responses: 4 };
  const shares = { share_of_votes: 3n << 30n, share_of_weight: 1n << 31n };
  assert.deepEqual(outcomeOf({ ...view, ...shares }), {
    voted: true,
    votes: 3,
    responses: 4,
    shareOfVotes: 0.75,
    shareOfWeight: 0.5,
  });
});

test("a response without half of its rankers' weight cannot win", () => {
  const tally = (assigned: bigint, disclosed: bigint) => ({ assigned, disclosed, weighted: 9n });
  const eligible = (given: ResponseView["tally"]) =>
    roundOf(view({ responses: [{ ...response("A", {}), tally: given }] })).responses[0]?.eligible;
  assert.equal(eligible(tally(4n, 2n)), true);
  assert.equal(eligible(tally(5n, 2n)), false);
  assert.equal(eligible(tally(0n, 0n)), false);
  assert.equal(eligible(undefined), false);
});

test("progress grows with each message and says what is missing", () => {
  const steps = [
    { type: "Committing", counts: {} },
    { type: "Committing", counts: { heard: 2 } },
    { type: "Revealing", counts: { commits: 4 } },
    { type: "Revealing", counts: { commits: 4, valid: 1, spoiled_responses: 1 } },
    { type: "Ranking", counts: { valid: 4, score_commits: 3 } },
    { type: "Disclosing", counts: { score_commits: 4, disclosures: 1, spoiled_scores: 1 } },
    { type: "Done", counts: {} },
  ] as const;
  const seen = steps.map(({ type, counts: some }) =>
    progress(roundOf(view({ phase: { type }, counts: { ...counts, ...some } }))),
  );
  assert.deepEqual(
    seen.map(({ share }) => share),
    [0, 0.125, 0.25, 0.375, 0.6875, 0.875, 1],
  );
  assert.equal(seen[3]?.text, "Revealing: 2 of 4 answers revealed");
});

test("a failed round names its failure", () => {
  const failed = roundOf(view({ phase: { type: "Failed", value: { type: "NoRankings" } } }));
  assert.equal(failed.failure, "NoRankings");
  assert.deepEqual(progress(failed), { share: 1, text: "Failed: NoRankings" });
});
