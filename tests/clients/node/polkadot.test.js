// SPDX-License-Identifier: Apache-2.0
/** polkadot.js: typed runtime calls, a question with its answer, and a refusal in words. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  account,
  connect,
  inBlock,
  NODE_URL,
  PATIENCE,
  QUESTION,
  request,
  roundOf,
  TRIES,
} from "./swarm.js";

/** @type {import("@polkadot/api").ApiPromise} */
let api;
before(async () => {
  api = await connect(NODE_URL);
});
after(() => api?.disconnect());

test("runtime calls are typed by the metadata", async () => {
  const calls = api.call.roundsApi;
  assert(calls?.requestCost && calls.openRounds && calls.round && calls.answer && calls.agent);
  const [burnt, deposit] = JSON.parse(JSON.stringify(await calls.requestCost(8)));
  assert(BigInt(burnt) > 0n && BigInt(deposit) > 0n);
  assert.equal((await calls.round(2n ** 63n)).toJSON(), null);
  const agent = JSON.parse(JSON.stringify(await calls.agent(account("Alice").address)));
  assert(agent, "Alice is an agent");
});

/** @param {number} round */
async function answered(round) {
  return new Promise((resolve, reject) => {
    const heads = api.rpc.chain.subscribeFinalizedHeads(async ({ hash }) => {
      try {
        const at = await api.at(hash);
        const view = JSON.parse(JSON.stringify(await at.call.roundsApi?.answer?.(round)));
        const phase = JSON.stringify(view?.phase ?? null);
        if (!/done|failed/i.test(phase)) return;
        (await heads)();
        resolve(view);
      } catch (error) {
        reject(error);
      }
    });
    heads.catch(reject);
  });
}

test("a question is asked and its answer read", { timeout: PATIENCE }, async () => {
  let text = null;
  for (let tries = 0; tries < TRIES && text === null; tries += 1) {
    const round = roundOf(await inBlock(request(api), account("Eve")));
    text = (await answered(round)).text ?? null;
  }
  assert(text !== null, `no answer to ${QUESTION}`);
  assert(Buffer.from(text.replace(/^0x/, ""), "hex").toString("utf8").length > 0);
});

test("a refusal has the pallet's name and words", { timeout: PATIENCE }, async () => {
  const events = await inBlock(request(api, 1n), account("Eve"));
  const failed = events.find(({ event }) => api.events.system.ExtrinsicFailed.is(event));
  assert(failed, "the request is not refused");
  const error = /** @type {any} */ (failed.event.data[0]);
  const { section, name, docs } = api.registry.findMetaError(error.asModule);
  assert.equal(`${section}.${name}`, "rounds.FeeTooLow");
  assert(docs.join(" ").length > 0);
});
