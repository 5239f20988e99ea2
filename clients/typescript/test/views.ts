// SPDX-License-Identifier: Apache-2.0
/** Views of a chain for the tests. */

import { Binary } from "polkadot-api";
import type { ResponseView, RoundView } from "../src/chain.js";

export const counts: RoundView["round"]["counts"] = {
  heard: 0,
  commits: 0,
  valid: 0,
  spoiled_responses: 0,
  score_commits: 0,
  disclosures: 0,
  spoiled_scores: 0,
};

/** A round of four agents. */
export function view({
  id = 7n,
  responses = [],
  ...round
}: { id?: bigint; responses?: ResponseView[] } & Partial<RoundView["round"]>): RoundView {
  return {
    id,
    prompt: Binary.fromText("Why?"),
    round: {
      requester: "Eve",
      terms: { fee: 1n, active: 4 },
      phase: { type: "Committing" },
      deadline: 9,
      counts,
      winner: undefined,
      ...round,
    },
    responses,
  };
}

/** A response with one ranker of weight 1, who gave it this score of 65535. */
export function response(
  agent: string,
  { text, score, spoiled = false }: { text?: string; score?: number; spoiled?: boolean },
): ResponseView {
  return {
    agent,
    text: text === undefined ? undefined : Binary.fromText(text),
    spoiled,
    rating: undefined,
    weight: undefined,
    tally: score === undefined
        ? undefined
        : { assigned: 1n, disclosed: 1n, weighted: BigInt(score) },
  };
}
