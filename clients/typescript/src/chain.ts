// SPDX-License-Identifier: Apache-2.0
/**
 * The part of the chain that this package uses, as polkadot-api decodes it. These types are
 * compared with the metadata of a running chain by `npm run check-chain`.
 */

import type { BlockInfo, PolkadotClient, Transaction } from "polkadot-api";

/** An enum without values. */
type Names<Name extends string> = { [N in Name]: { type: N; value?: undefined } }[Name];

/** The phase of a round, or its end. */
export type PhaseView =
  | Names<"Committing" | "Revealing" | "Ranking" | "Disclosing" | "Done">
  | { type: "Failed"; value: Names<Failure> };

/** The reason why a round has no winner. */
export type Failure =
  | "TooFewCommits"
  | "TooFewReveals"
  | "NoRankings"
  | "BelowThreshold"
  | "Outbid";

/** A response, as `RoundsApi.round` returns it. Ratings and weights have 32 fractional bits. */
export type ResponseView = {
  agent: string;
  text?: Uint8Array;
  spoiled: boolean;
  rating?: bigint;
  weight?: bigint;
  tally?: { assigned: bigint; disclosed: bigint; weighted: bigint };
};

/** A round, as `RoundsApi.round` returns it. */
export type RoundView = {
  id: bigint;
  prompt: Uint8Array;
  round: {
    requester: string;
    terms: { fee: bigint; active: number };
    phase: PhaseView;
    deadline: number;
    counts: {
      heard: number;
      commits: number;
      valid: number;
      spoiled_responses: number;
      score_commits: number;
      disclosures: number;
      spoiled_scores: number;
    };
    winner?: string;
  };
  responses: ResponseView[];
};

/** The form of answers. */
export type FormView = {
  [N in "Free" | "Number" | "Choice" | "Short"]: { type: N; value: undefined };
}["Free" | "Number" | "Choice" | "Short"];

/**
 * The votes behind an answer, as `CapabilitiesApi.outcome` returns them. Shares have 32 fractional
 * bits.
 */
export type OutcomeView = {
  is_voted: boolean;
  votes: number;
  responses: number;
  share_of_votes: bigint;
  share_of_weight: bigint;
};

/** The arguments of `Rounds.request`. */
export type RequestArguments = {
  prompt: Uint8Array;
  fee: bigint;
  max_tokens: number;
  min_responses: number;
  max_responses: number;
};

/** The arguments of `Capabilities.ask`. The commitment is 32 bytes in hexadecimal. */
export type AskArguments = RequestArguments & { form: FormView; commitment: string };

/** The calls, events, constants and views that this package uses. */
export type Api = {
  tx: {
    Rounds: { request: (call: RequestArguments) => Transaction };
    Capabilities: { ask: (call: AskArguments) => Transaction };
  };
  event: { Rounds: { Requested: { filter: (events: any[]) => { payload: { round: bigint } }[] } } };
  constants: {
    [pallet: string]: { [name: string]: () => Promise<unknown> };
    Rounds: { MinFee: () => Promise<bigint>; MinResponses: () => Promise<number> };
  };
  apis: {
    RoundsApi: {
      round: (id: bigint, options: { at: string }) => Promise<RoundView | undefined>;
    };
    CapabilitiesApi: {
      outcome: (id: bigint, options: { at: string }) => Promise<OutcomeView | undefined>;
    };
  };
};

/** The client's methods that this package uses. */
export type Client = Pick<
  PolkadotClient,
  | "bestBlocks$"
  | "finalizedBlock$"
  | "getFinalizedBlock"
  | "getMetadata"
  | "getChainSpecData"
  | "destroy"
>;

/** A block's hash and number. */
export type BlockId = Pick<BlockInfo, "hash" | "number">;
