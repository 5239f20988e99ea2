// SPDX-License-Identifier: Apache-2.0
/** A round as a dApp shows it. */

import { Binary } from "polkadot-api";
import type { Failure, OutcomeView, ResponseView, RoundView } from "./chain.js";

export type { Failure };

/** The phases of a round, in their order. */
export const PHASES = ["Committing", "Revealing", "Ranking", "Disclosing"] as const;

/** The phase of a round, or its end. */
export type Phase = (typeof PHASES)[number] | "Done" | "Failed";

/** A response of an agent. */
export type Response = {
  /** The agent's address. */
  agent: string;
  /** True if it is the answer of the round. */
  won: boolean;
  /** `sealed` until the agent reveals its key; then `valid`, or `spoiled` without a text. */
  state: "sealed" | "valid" | "spoiled";
  text?: string;
  /** The rating-weighted mean of its scores, in [0, 1]. */
  score?: number;
  /** True if rankers with half of the assigned weight have disclosed; else it cannot win. */
  eligible: boolean;
  /** The agent's rating as a ranker, in [0, 1]. */
  rating?: number;
  /** Its weight as a ranker, in [0, 1]. */
  weight?: number;
};

/** A round. Amounts are in the smallest unit, 10⁻¹² STAR. */
export type Round = {
  id: bigint;
  prompt: string;
  /** The requester's address. */
  requester: string;
  fee: bigint;
  phase: Phase;
  /** The reason why the round has no answer, if it is `Failed`. */
  failure?: Failure;
  /** The last block of the phase. */
  deadline: number;
  /** The text of the response that won. */
  answer?: string;
  /** The responses, the best first: the winner, then by score. */
  responses: Response[];
  /** The numbers of messages that have arrived in the phase and that are expected. */
  arrived: number;
  expected: number;
};

/** The votes behind an answer. */
export type Outcome = {
  /** True if votes and scores chose the answer, and not the scores alone. */
  voted: boolean;
  /** The number of valid responses that give the answer. */
  votes: number;
  /** The number of all valid responses. */
  responses: number;
  /** The share of the responses that give the answer, in [0, 1]. */
  shareOfVotes: number;
  /** The share of the weight of votes that is behind the answer, in [0, 1]. */
  shareOfWeight: number;
};

/** True if a round is over. It is certain if a final block says so. */
export function isOver({ phase }: Round): boolean {
  return phase === "Done" || phase === "Failed";
}

/** The progress of a round: the share that is over, in [0, 1], and a line of text. */
export function progress(round: Round): { share: number; text: string } {
  const { phase, arrived, expected } = round;
  const index = PHASES.findIndex((name) => name === phase);
  if (index < 0) return { share: 1, text: round.failure ? `Failed: ${round.failure}` : phase };
  const within = expected > 0 ? Math.min(arrived / expected, 1) : 0;
  const what = ["agents heard", "answers revealed", "agents ranked", "rankings disclosed"][index];
  return {
    share: (index + within) / PHASES.length,
    text: `${phase}: ${arrived} of ${expected} ${what}`,
  };
}

/** Turns the chain's view of a round into a round. */
export function roundOf({ id, prompt, round, responses }: RoundView): Round {
  const { type: phase, value } = round.phase;
  const [arrived, expected] = messages(round);
  const ranked = responses
    .map((response) => responseOf(response, response.agent === round.winner))
    .sort((left, right) => order(right) - order(left));
  return {
    id,
    prompt: Binary.toText(prompt),
    requester: round.requester,
    fee: round.terms.fee,
    phase,
    failure: value?.type,
    deadline: round.deadline,
    answer: ranked.find(({ won }) => won)?.text,
    responses: ranked,
    arrived,
    expected,
  };
}

/** Turns the chain's view of votes into an outcome. */
export function outcomeOf(view: OutcomeView): Outcome {
  return {
    voted: view.is_voted,
    votes: view.votes,
    responses: view.responses,
    shareOfVotes: share(view.share_of_votes),
    shareOfWeight: share(view.share_of_weight),
  };
}

function responseOf(view: ResponseView, won: boolean): Response {
  return {
    agent: view.agent,
    won,
    state: view.text ? "valid" : view.spoiled ? "spoiled" : "sealed",
    text: view.text && Binary.toText(view.text),
    score: score(view.tally),
    eligible: isEligible(view.tally),
    rating: unit(view.rating),
    weight: unit(view.weight),
  };
}

/** Scores have 16 bits on the chain. */
function score(tally: ResponseView["tally"]): number | undefined {
  if (!tally || tally.disclosed === 0n) return undefined;
  return Number(tally.weighted) / Number(tally.disclosed) / 65535;
}

function isEligible(tally: ResponseView["tally"]): boolean {
  return tally !== undefined && tally.disclosed > 0n && 2n * tally.disclosed >= tally.assigned;
}

function unit(fixed: bigint | undefined): number | undefined {
  return fixed === undefined ? undefined : share(fixed);
}

/** A number with 32 fractional bits. */
function share(fixed: bigint): number {
  return Number(fixed) / 2 ** 32;
}

/**
 * The score alone does not tell the winner: of equal scores a hash decides, and a response cannot
 * win if too few of its rankers disclosed.
 */
function order({ won, score }: Response): number {
  return won ? 2 : (score ?? -1);
}

/** The messages that have arrived in the phase, and those that are expected. */
function messages({ phase, counts, terms }: RoundView["round"]): [number, number] {
  switch (phase.type) {
    case "Committing":
      return [counts.heard, terms.active];
    case "Revealing":
      return [counts.valid + counts.spoiled_responses, counts.commits];
    case "Ranking":
      return [counts.score_commits, counts.valid];
    case "Disclosing":
      return [counts.disclosures + counts.spoiled_scores, counts.score_commits];
    default:
      return [0, 0];
  }
}
