// SPDX-License-Identifier: Apache-2.0
/** A connection to a swarm: asks it, and follows rounds. */

import { Binary, createClient, type JsonRpcProvider, type PolkadotSigner } from "polkadot-api";
import { getWsProvider } from "polkadot-api/ws";
import {
  catchError,
  concatMap,
  distinctUntilChanged,
  filter,
  from,
  map,
  merge,
  type Observable,
  shareReplay,
  switchMap,
  takeWhile,
} from "rxjs";
import type { Api, BlockId, Client, RequestArguments } from "./chain.js";
import { refusal } from "./errors.js";
import { isOver, type Round, roundOf } from "./round.js";

/** A connection to a node. */
export type Swarm = { client: Client; api: Api };

/** A question. Amounts are in the smallest unit, 10⁻¹² STAR. */
export type Question = {
  prompt: string;
  /** The fee for the answer [default: the minimum of the chain]. */
  fee?: bigint;
  /** The maximum length of an answer, in tokens [default: 64]. */
  maxTokens?: number;
  /** The minimum number of answers [default: the minimum of the chain]. */
  minResponses?: number;
  /** The maximum number of answers [default: 8]. */
  maxResponses?: number;
};

/** A round as of a block. A block that is not final may be replaced. */
export type Update = { block: number; final: boolean; round: Round };

/** Connects to a node by its WebSocket address, or through another provider. */
export function connect(node: string | JsonRpcProvider): Swarm {
  const client = createClient(typeof node === "string" ? getWsProvider(node) : node);
  return { client, api: client.getUnsafeApi() as unknown as Api };
}

/** Closes the connection. */
export function disconnect({ client }: Swarm): void {
  client.destroy();
}

/**
 * Sends a request and follows its round until the end is final. Fails with `Refused` if the chain
 * refuses the request.
 */
export function ask(swarm: Swarm, signer: PolkadotSigner, question: Question): Observable<Update> {
  return request(swarm, signer, question).pipe(
    switchMap((id) => follow(swarm, id)),
    takeWhile((update) => !isFinal(update), true),
  );
}

/**
 * Sends a request. Emits the number of its round: a reorganisation can give the request another
 * block, and its round another number. The last one is final.
 */
export function request(
  swarm: Swarm,
  signer: PolkadotSigner,
  question: Question,
): Observable<bigint> {
  return from(callOf(swarm.api, question)).pipe(
    switchMap((call) => swarm.api.tx.Rounds.request(call).signSubmitAndWatch(signer)),
    concatMap(async (event) => {
      const isInBlock =
        event.type === "finalized" || (event.type === "txBestBlocksState" && event.found);
      if (!isInBlock) return undefined;
      if (!event.ok) throw event.dispatchError;
      const opened = swarm.api.event.Rounds.Requested.filter(event.events)[0];
      if (!opened) throw new Error("the request opened no round");
      return opened.payload.round;
    }),
    catchError(async (error) => {
      throw await refusal(swarm, error);
    }),
    filter((id) => id !== undefined),
    distinctUntilChanged(),
    // A second subscriber must not send a second request.
    shareReplay(1),
  );
}

/** Follows a round, block by block, until its end is final. */
export function follow({ client, api }: Swarm, id: bigint): Observable<Update> {
  const at = (block: BlockId, final: boolean) =>
    from(api.apis.RoundsApi.round(id, { at: block.hash })).pipe(
      filter((view) => view !== undefined),
      map((view) => ({ block: block.number, final, round: roundOf(view) })),
    );
  const best = client.bestBlocks$.pipe(
    map((blocks) => blocks[0]),
    filter((block) => block !== undefined),
    distinctUntilChanged((left, right) => left.hash === right.hash),
    concatMap((block) => at(block, false)),
  );
  const finalized = client.finalizedBlock$.pipe(concatMap((block) => at(block, true)));
  return merge(best, finalized).pipe(takeWhile((update) => !isFinal(update), true));
}

function isFinal({ final, round }: Update): boolean {
  return final && isOver(round);
}

async function callOf(api: Api, question: Question): Promise<RequestArguments> {
  const [fee, minResponses] = await Promise.all([
    question.fee ?? api.constants.Rounds.MinFee(),
    question.minResponses ?? api.constants.Rounds.MinResponses(),
  ]);
  return {
    prompt: Binary.fromText(question.prompt),
    fee,
    max_tokens: question.maxTokens ?? 64,
    min_responses: minResponses,
    max_responses: question.maxResponses ?? 8,
  };
}
