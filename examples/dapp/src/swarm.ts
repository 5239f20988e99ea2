// SPDX-License-Identifier: Apache-2.0
/** Asking a Starling swarm. The same code runs in Node and in browsers. */

import { starling } from "@polkadot-api/descriptors";
import {
  Binary,
  createClient,
  type JsonRpcProvider,
  type PolkadotClient,
  type PolkadotSigner,
  type TypedApi,
} from "polkadot-api";
import {
  concatMap,
  distinctUntilChanged,
  EMPTY,
  filter,
  from,
  map,
  merge,
  type Observable,
  shareReplay,
  switchMap,
  takeWhile,
} from "rxjs";

export type Api = TypedApi<typeof starling>;
export type Swarm = { client: PolkadotClient; api: Api };
export type Round = NonNullable<Awaited<ReturnType<Api["apis"]["RoundsApi"]["round"]>>>;

/** What to ask. Amounts are in the smallest unit, 10⁻¹² STAR. */
export type Question = {
  prompt: string;
  /** What the answer is worth; the least that the chain accepts without it. */
  fee?: bigint;
  maxTokens?: number;
  minResponses?: number;
  maxResponses?: number;
};

/** A round as of a block. Only what a final block says is certain. */
export type Update = { id: bigint; block: number; final: boolean; round: Round };

export function connect(provider: JsonRpcProvider): Swarm {
  const client = createClient(provider);
  return { client, api: client.getTypedApi(starling) };
}

/** Sends a request, and follows its round to a final end. Fails if the chain refuses. */
export function ask(swarm: Swarm, signer: PolkadotSigner, question: Question): Observable<Update> {
  return from(request(swarm.api, question)).pipe(
    switchMap((call) => {
      // A reorganisation can give the request another block, and its round another number.
      const asked = call.signSubmitAndWatch(signer).pipe(
        concatMap((event) => {
          const inBlock =
            event.type === "finalized" || (event.type === "txBestBlocksState" && event.found);
          if (!inBlock) return EMPTY;
          if (!event.ok) throw new Error(`the chain refused: ${reason(event.dispatchError)}`);
          const opened = swarm.api.event.Rounds.Requested.filter(event.events)[0];
          if (!opened) throw new Error("the request opened no round");
          return [opened.payload.round];
        }),
        distinctUntilChanged(),
        shareReplay(1),
      );
      return asked.pipe(switchMap((id) => follow(swarm, id)));
    }),
    takeWhile((update) => !isOver(update), true),
  );
}

/** Follows a round, block by block, to a final end. */
export function follow({ client, api }: Swarm, id: bigint): Observable<Update> {
  const at = (block: { hash: string; number: number }, final: boolean) =>
    from(api.apis.RoundsApi.round(id, { at: block.hash })).pipe(
      filter((round) => round !== undefined),
      map((round) => ({ id, block: block.number, final, round })),
    );
  const best = client.bestBlocks$.pipe(
    map((blocks) => blocks[0]),
    filter((block) => block !== undefined),
    distinctUntilChanged((left, right) => left.hash === right.hash),
    concatMap((block) => at(block, false)),
  );
  const finalized = client.finalizedBlock$.pipe(concatMap((block) => at(block, true)));
  return merge(best, finalized).pipe(takeWhile((update) => !isOver(update), true));
}

/** Whether the round has ended in a final block. */
export function isOver({ final, round }: Update): boolean {
  return final && ["Done", "Failed"].includes(round.round.phase.type);
}

/** The answer that was chosen, if one was. */
export function answer({ round, responses }: Round): string | undefined {
  const won = responses.find((response) => response.agent === round.winner);
  return won?.text && Binary.toText(won.text);
}

/** The rating-weighted mean of a response's scores, in [0, 1]: what decides. */
export function score(response: Round["responses"][number]): number | undefined {
  const { tally } = response;
  if (!tally || tally.disclosed === 0n) return undefined;
  return Number(tally.weighted) / Number(tally.disclosed) / 65535;
}

/**
 * The responses, the best first: the one that won, then by score. The score alone does not tell:
 * of equal ones a hash decides, and one that too few of its rankers disclosed cannot win.
 */
export function ranked({ round, responses }: Round): Round["responses"] {
  const order = (response: Round["responses"][number]) =>
    response.agent === round.winner ? 2 : (score(response) ?? -1);
  return [...responses].sort((left, right) => order(right) - order(left));
}

/** How far a round is, in words. */
export function progress({ round }: Round): string {
  const { counts, terms } = round;
  switch (round.phase.type) {
    case "Committing":
      return `Committing: ${counts.commits} answers, ${counts.heard} of ${terms.active} agents heard`;
    case "Revealing":
      return `Revealing: ${counts.valid + counts.spoiled_responses} of ${counts.commits} answers`;
    case "Ranking":
      return `Ranking: ${counts.score_commits} of ${counts.valid} agents`;
    case "Disclosing":
      return `Disclosing: ${counts.disclosures + counts.spoiled_scores} of ${counts.score_commits} rankings`;
    case "Done":
      return "Done";
    case "Failed":
      return `Failed: ${round.phase.value.type}`;
  }
}

async function request(api: Api, question: Question) {
  const [fee, minResponses] = await Promise.all([
    question.fee ?? api.constants.Rounds.MinFee(),
    question.minResponses ?? api.constants.Rounds.MinResponses(),
  ]);
  return api.tx.Rounds.request({
    prompt: Binary.fromText(question.prompt),
    fee,
    max_tokens: question.maxTokens ?? 64,
    min_responses: minResponses,
    max_responses: question.maxResponses ?? 8,
  });
}

/** The innermost name of a dispatch error, as `Rounds.FeeTooLow`. */
function reason(error: { type: string; value: unknown }): string {
  const inner = error.value as { type?: string; value?: unknown } | undefined;
  if (!inner?.type) return error.type;
  const nested = reason({ type: inner.type, value: inner.value });
  return error.type === "Module" ? nested : `${error.type}.${nested}`;
}
