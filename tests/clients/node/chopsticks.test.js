// SPDX-License-Identifier: Apache-2.0
/** chopsticks: a request in a fork, of which the chain hears nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { WsProvider } from "@polkadot/api";
import { fork } from "./fork.js";
import { account, connect, NODE_URL, PATIENCE, request, roundOf } from "./swarm.js";

/**
 * The nonce of Ferdie's next transaction.
 * @param {import("@polkadot/api").ApiPromise} api
 */
async function nonce(api) {
  return (await api.rpc.system.accountNextIndex(account("Ferdie").address)).toNumber();
}

test("a request opens a round in a fork", { timeout: PATIENCE }, async (context) => {
  const chain = await connect(NODE_URL);
  context.after(() => chain.disconnect());
  const told = await nonce(chain);
  const forked = await fork(NODE_URL);
  const { addr } = forked;
  context.after(() => forked.close());
  const api = await connect(`ws://${addr}`);
  context.after(() => api.disconnect());

  const before = (await api.rpc.chain.getHeader()).number.toNumber();
  await request(api).signAndSend(account("Ferdie"), { nonce: -1 });
  const rpc = new WsProvider(`ws://${addr}`);
  context.after(() => rpc.disconnect());
  await rpc.isReady;
  await rpc.send("dev_newBlock", [{ count: 2 }]);
  assert.equal((await api.rpc.chain.getHeader()).number.toNumber(), before + 2);

  const hash = await api.rpc.chain.getBlockHash(before + 1);
  const at = await api.at(hash);
  const events = /** @type {any} */ (await at.query.system.events());
  const round = roundOf(events);
  const open = JSON.parse(JSON.stringify(await at.call.roundsApi?.openRounds?.()));
  assert(JSON.stringify(open).includes(String(round)), JSON.stringify(open));

  assert.equal(await nonce(chain), told);
});
