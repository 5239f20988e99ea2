// SPDX-License-Identifier: Apache-2.0
/**
 * A fork of a running chain, by chopsticks. As a program it serves the fork:
 *
 *     node fork.js ws://127.0.0.1:9944 8000
 *
 * The runtime takes no block without the output of its author's VRF, and nobody in a fork has the
 * author's key. So each block of the fork forgets, after its beginning, that it waits for one.
 */

import { pathToFileURL } from "node:url";
import { BuildBlockMode, setupWithServer } from "@acala-network/chopsticks";
import { compactHex, inherentProviders, StorageValueKind } from "@acala-network/chopsticks-core";

inherentProviders.push({
  async createInherents(block) {
    const meta = await block.meta;
    const awaited = meta.query.beacon?.awaited;
    if (awaited) block.pushStorageLayer().set(compactHex(awaited()), StorageValueKind.Deleted);
    return [];
  },
});

/**
 * Forks the chain of a node at its last final block. The RPC method `dev_newBlock` makes a block.
 * @param {string} endpoint
 * @param {number} [port] a free one by default
 */
export function fork(endpoint, port = 0) {
  return setupWithServer({
    endpoint,
    port,
    host: "127.0.0.1",
    "build-block-mode": BuildBlockMode.Manual,
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [, , endpoint = "ws://127.0.0.1:9944", port = "8000"] = process.argv;
  const { addr } = await fork(endpoint, Number(port));
  console.log(`ws://${addr}`);
}
