// SPDX-License-Identifier: Apache-2.0
/** A connection to a swarm: asks it, and follows rounds. */

import { decAnyMetadata, unifyMetadata } from "@polkadot-api/substrate-bindings";
import { Binary, createClient, type JsonRpcProvider, type PolkadotSigner } from "polkadot-api";
import { getWsProvider } from "polkadot-api/ws";
import {
  catchError,
  concatMap,
  defer,
  distinctUntilChanged,
  filter,
  from,
  map,
  merge,
  type Observable,
  shareReplay,
  switchMap,
  takeWhile,
  tap,
} from "rxjs";
import type { Api, BlockId, Client, FormView, RequestArguments } from "./chain.js";
import { refusal } from "./errors.js";
import { isOver, type Outcome, outcomeOf, type Round, roundOf } from "./round.js";

/** A connection to a node. */
export type Swarm = { client: Client; api: Api };

/** The form of answers. In all but `free`, equal answers count as votes. */
export type Answers = "free" | "number" | "choice" | "short";

const FORMS: Record<Exclude<Answers, "free">, FormView> = {
  number: { type: "Number", value: undefined },
  choice: { type: "Choice", value: undefined },
  short: { type: "Short", value: undefined },
};

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
  /** The form of the answers [default: free]. */
  answers?: Answers;
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
    switchMap((call) => transactionOf(swarm.api, call, question).signSubmitAndWatch(signer)),
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

/**
 * Follows a round, block by block, until its end is final. The chain removes a round that ended before
 * anything was public in the next block: its last state is then that of the best block that ended it.
 */
export function follow({ client, api }: Swarm, id: bigint): Observable<Update> {
  return defer(() => {
    let ended: Update | undefined;
    const seen = new Set<string>();
    const fresh = (blocks: BlockId[], index: number) => {
      const unseen = blocks.filter((block) => !seen.has(block.hash)).reverse();
      for (const block of unseen) seen.add(block.hash);
      return index === 0 ? unseen.slice(-1) : unseen;
    };
    const at = async (block: BlockId, final: boolean): Promise<Update | undefined> => {
      const view = await api.apis.RoundsApi.round(id, { at: block.hash });
      if (view) return { block: block.number, final, round: roundOf(view) };
      const gone = final && ended && ended.block < block.number;
      return gone && ended ? { block: block.number, final, round: ended.round } : undefined;
    };
    const best = client.bestBlocks$.pipe(
      concatMap(fresh),
      concatMap((block) => at(block, false)),
      tap((update) => {
        if (update && isOver(update.round)) ended = update;
      }),
    );
    const finalized = client.finalizedBlock$.pipe(concatMap((block) => at(block, true)));
    return merge(best, finalized).pipe(
      filter((update) => update !== undefined),
      takeWhile((update) => !isFinal(update), true),
    );
  });
}

/**
 * The votes behind the answer of a round, as of the last final block. `undefined` for answers in free
 * form, without an answer, and on a chain that counts no answers.
 */
export async function outcome({ client, api }: Swarm, id: bigint): Promise<Outcome | undefined> {
  const { hash } = await client.getFinalizedBlock();
  const { apis } = unifyMetadata(decAnyMetadata(await client.getMetadata(hash)));
  if (!apis.some(({ name }) => name === "CapabilitiesApi")) return undefined;
  const view = await api.apis.CapabilitiesApi.outcome(id, { at: hash });
  return view && outcomeOf(view);
}

function isFinal({ final, round }: Update): boolean {
  return final && isOver(round);
}

/** Free answers go through `Rounds.request`, which every chain has. */
function transactionOf(api: Api, call: RequestArguments, { answers = "free" }: Question) {
  if (answers === "free") return api.tx.Rounds.request(call);
  const form = FORMS[answers];
  if (!form) throw new Error(`there is no form of answers "${answers}"`);
  // It commits to nothing. Nobody can tell it from a commitment to a known answer.
  const commitment = Binary.toHex(crypto.getRandomValues(new Uint8Array(32)));
  return api.tx.Capabilities.ask({ ...call, form, commitment });
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
