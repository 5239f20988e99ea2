// SPDX-License-Identifier: Apache-2.0
/**
 * smoldot: a light client follows the chain over the peer-to-peer network and makes a runtime call
 * whose state it proves to itself. It trusts no RPC port. STARLING_NODE names the program that
 * knows the chain's specification.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { start } from "smoldot";
import { connect, NODE_URL, PATIENCE } from "./swarm.js";

const NODE = process.env.STARLING_NODE ?? "starling-node";

/** The raw specification with the address of the swarm's first node. */
async function specification() {
  const { stdout } = await promisify(execFile)(
    NODE,
    ["export-chain-spec", "--chain", "local", "--raw"],
    { maxBuffer: 1 << 28 },
  );
  const api = await connect(NODE_URL);
  try {
    const addresses = await api.rpc.system.localListenAddresses();
    const own = addresses.map(String).filter((address) => address.startsWith("/ip4/127.0.0.1/tcp/"));
    assert(own.length > 0, `no address on loopback among ${addresses.join()}`);
    return JSON.stringify({ ...JSON.parse(stdout), bootNodes: own });
  } finally {
    await api.disconnect();
  }
}

test("a light client proves the result of a runtime call", { timeout: PATIENCE }, async (context) => {
  const client = start({
    maxLogLevel: 2,
    logCallback: (_, target, words) => context.diagnostic(`${target}: ${words}`),
  });
  context.after(() => client.terminate());
  const chain = await client.addChain({ chainSpec: await specification() });

  let last = 0;
  /** @type {any[]} events of the subscription that came before they were awaited */
  const early = [];
  /** Waits for the message that `wanted` chooses. @param {(message: any) => boolean} wanted */
  async function message(wanted) {
    const index = early.findIndex(wanted);
    if (index >= 0) return early.splice(index, 1)[0];
    for (;;) {
      const next = JSON.parse(await chain.nextJsonRpcResponse());
      if (wanted(next)) return next;
      early.push(next);
    }
  }
  /** @param {string} method @param {unknown[]} params */
  async function call(method, params) {
    const id = (last += 1);
    chain.sendJsonRpc(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    const { result, error } = await message((next) => next.id === id);
    assert.equal(error, undefined, method);
    return result;
  }
  /** @param {string} subscription @param {(event: any) => boolean} wanted */
  async function event(subscription, wanted) {
    const next = await message(
      ({ params }) => params?.subscription === subscription && wanted(params.result),
    );
    return next.params.result;
  }

  const follow = await call("chainHead_v1_follow", [true]);
  const begun = await event(follow, ({ event }) => event === "initialized");
  const hash = begun.finalizedBlockHashes.at(-1);
  assert.equal(begun.finalizedBlockRuntime.type, "valid");
  // u32, little endian: the cost of a request with eight answers.
  const started = await call("chainHead_v1_call", [follow, hash, "RoundsApi_request_cost", "0x08000000"]);
  assert.equal(started.result, "started");
  const { operationId } = started;
  const done = await event(follow, (one) => one.operationId === operationId);
  assert.equal(done.event, "operationCallDone", JSON.stringify(done));
  // Two balances, each of 16 bytes, and the node says the same of the same block.
  assert.match(done.output, /^0x[0-9a-f]{64}$/);
  const api = await connect(NODE_URL);
  context.after(() => api.disconnect());
  const told = await api.rpc.state.call("RoundsApi_request_cost", "0x08000000", hash);
  assert.equal(done.output, told.toHex());
});
