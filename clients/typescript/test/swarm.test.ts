// SPDX-License-Identifier: Apache-2.0
/** Against a chain that the test plays, block by block. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { InvalidTxError, type PolkadotSigner } from "polkadot-api";
import { BehaviorSubject, filter, Observable, Subject } from "rxjs";
import type {
  Api,
  AskArguments,
  BlockId,
  Client,
  PhaseView,
  RequestArguments,
} from "../src/chain.js";
import { ask, follow, Refused, type Swarm, type Update } from "../src/index.js";
import { view } from "./views.js";

const nobody = {} as PolkadotSigner;
const done: PhaseView = { type: "Done" };

/** A chain with one round a block: its phase and its number are those of the block's hash. */
class Played {
  best = new BehaviorSubject<BlockId[] | undefined>(undefined);
  final = new Subject<BlockId>();
  transaction = new Subject<object>();
  sent: RequestArguments[] = [];
  declared: AskArguments[] = [];
  phases = new Map<string, PhaseView>();

  /** The number of a round in the hash of a block makes another fork's round another one. */
  swarm(): Swarm {
    const request = (call: RequestArguments) => ({
      signSubmitAndWatch: () =>
        new Observable((subscriber) => {
          this.sent.push(call);
          return this.transaction.subscribe(subscriber);
        }),
    });
    const ask = (call: AskArguments) => {
      this.declared.push(call);
      return request(call);
    };
    const api = {
      tx: { Rounds: { request }, Capabilities: { ask } },
      event: {
        Rounds: {
          Requested: { filter: (events: bigint[]) => events.map((round) => ({ payload: { round } })) },
        },
      },
      constants: {
        Rounds: { MinFee: async () => 5n, MinResponses: async () => 2 },
      },
      apis: {
        RoundsApi: {
          round: async (id: bigint, { at }: { at: string }) => {
            const phase = this.phases.get(at);
            return phase && view({ id, phase });
          },
        },
      },
    } as unknown as Api;
    const client = {
      bestBlocks$: this.best.pipe(filter((blocks) => blocks !== undefined)),
      finalizedBlock$: this.final,
      getFinalizedBlock: () => Promise.reject(new Error("the node has no metadata")),
    } as unknown as Client;
    return { client, api };
  }

  /** A best block in which rounds are in this phase. */
  block(number: number, phase: PhaseView, hash = `${number}`) {
    this.phases.set(hash, phase);
    this.best.next([{ hash, number }]);
    return settled();
  }

  /** Makes a block final. */
  finalise(number: number, hash = `${number}`) {
    this.final.next({ hash, number });
    return settled();
  }

  /** The request is in a block, as this round. */
  async inBlock(round: bigint, type: "finalized" | "txBestBlocksState" = "txBestBlocksState") {
    this.transaction.next({ type, found: true, ok: true, events: [round] });
    await settled();
  }
}

/** Lets every promise that can go on do so. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

let chain: Played;
let updates: Update[];
let ended: "no" | "completed" | unknown;
const watch = (round: Observable<Update>) => {
  updates = [];
  ended = "no";
  round.subscribe({
    next: (update) => updates.push(update),
    error: (error) => (ended = error),
    complete: () => (ended = "completed"),
  });
  return settled();
};

beforeEach(() => {
  chain = new Played();
});

test("a round is followed until its end is final", async () => {
  await watch(follow(chain.swarm(), 7n));
  await chain.block(1, { type: "Committing" });
  await chain.finalise(1);
  await chain.block(2, done);
  assert.equal(ended, "no", "the end may still be replaced");
  await chain.finalise(2);
  assert.equal(ended, "completed");
  assert.deepEqual(
    updates.map(({ block, final, round }) => [block, final, round.phase]),
    [
      [1, false, "Committing"],
      [1, true, "Committing"],
      [2, false, "Done"],
      [2, true, "Done"],
    ],
  );
});

test("a round that is removed right after its end is followed until that end is final", async () => {
  await watch(follow(chain.swarm(), 7n));
  await chain.block(1, { type: "Committing" });
  const blocks = [3, 2, 1].map((number) => ({ hash: `${number}`, number }));
  chain.phases.set("2", { type: "Failed", value: { type: "TooFewCommits" } });
  chain.best.next(blocks);
  await settled();
  assert.equal(ended, "no", "the end may still be replaced");
  await chain.finalise(3);
  assert.equal(ended, "completed");
  const last = updates.at(-1);
  assert.deepEqual(
    [last?.block, last?.final, last?.round.phase, last?.round.failure],
    [3, true, "Failed", "TooFewCommits"],
  );
});

test("what a question leaves out has the values of the chain", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?", maxTokens: 9 }));
  const [call] = chain.sent;
  assert.deepEqual(
    [call?.fee, call?.max_tokens, call?.min_responses, call?.max_responses],
    [5n, 9, 2, 8],
  );
  assert.equal(new TextDecoder().decode(call?.prompt), "Why?");
});

test("only a form other than free is declared, with a commitment that nobody else has", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?", answers: "free" }));
  assert.equal(chain.declared.length, 0);
  for (const _ of [1, 2]) {
    await watch(ask(chain.swarm(), nobody, { prompt: "How many?", answers: "number" }));
  }
  assert.deepEqual(
    chain.declared.map(({ form }) => form.type),
    ["Number", "Number"],
  );
  const [first, second] = chain.declared.map(({ commitment }) => commitment);
  assert.match(first ?? "", /^0x[0-9a-f]{64}$/);
  assert.notEqual(first, second);
});

test("an unknown form is an error, and nothing is sent", async () => {
  const answers = "essay" as "short";
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?", answers }));
  assert.match((ended as Error).message, /no form of answers "essay"/);
  assert.equal(chain.sent.length, 0);
});

test("a request that moves to another round is followed there", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?" }));
  await chain.block(1, { type: "Committing" });
  await chain.inBlock(7n);
  await chain.block(1, { type: "Committing" }, "fork");
  await chain.inBlock(8n);
  await chain.block(2, done);
  await chain.inBlock(8n, "finalized");
  await chain.finalise(2);
  assert.equal(ended, "completed");
  const rounds = updates.map(({ round }) => round.id);
  assert.equal(rounds[0], 7n);
  assert.equal(rounds.at(-1), 8n);
});

test("two subscribers to one question send one request", async () => {
  const asked = ask(chain.swarm(), nobody, { prompt: "Why?" });
  asked.subscribe();
  await watch(asked);
  assert.equal(chain.sent.length, 1);
});

test("a refusal of the chain is named, also where the words cannot be had", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?" }));
  const dispatchError = { type: "Module", value: { type: "Rounds", value: { type: "FeeTooLow" } } };
  chain.transaction.next({ type: "finalized", ok: false, events: [], dispatchError });
  await settled();
  assert(ended instanceof Refused);
  assert.equal(ended.reason, "Rounds.FeeTooLow");
  assert.equal(ended.message, "the chain refused: Rounds.FeeTooLow");
});

test("a refusal of the pool says what to do", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?" }));
  chain.transaction.error(new InvalidTxError({ type: "Invalid", value: { type: "Payment" } }));
  await settled();
  assert(ended instanceof Refused);
  assert.match(ended.message, /the account cannot pay the fee of the transaction \(Invalid\.Payment\)/);
});

test("an error of the connection stays what it is", async () => {
  await watch(ask(chain.swarm(), nobody, { prompt: "Why?" }));
  chain.transaction.error(new Error("the node closed the connection"));
  await settled();
  assert.equal((ended as Error).message, "the node closed the connection");
});
