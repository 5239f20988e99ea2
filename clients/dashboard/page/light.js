// SPDX-License-Identifier: Apache-2.0
/**
 * The document of the light client, in a hidden frame of the page that asks for a proof. Its policy
 * allows what no page may: WebAssembly, and connections to the nodes of the specification. It tells
 * the page how it goes, and has no other effect.
 */

import { chainSpec, swarm } from "./gateway.js";
import { answer, blockNumber, question, reachable } from "./proof.js";

const CLIENT = "/light-client/index-browser.js";

/** The time in which the light client must know a final block, in milliseconds. */
const PATIENCE = 60_000;

/** @typedef {{ block: number, hash: string, phase: string, text: Uint8Array | null }} Proven */
/** @typedef {{ words: string } | { failed: string } | { proven: Proven }} Told */

/** @param {Told} told */
const tell = (told) => parent.postMessage(told, location.origin);

/** @param {string[]} nodes */
const named = (nodes) => (nodes.length === 1 ? nodes[0] : `${nodes.length} nodes`);

/** Calls and events of the chain, by JSON-RPC. */
class Calls {
  /** @param {any} chain */
  constructor(chain) {
    this.chain = chain;
    this.next = 0;
    /** @type {Map<number, { resolve: (value: any) => void, reject: (why: Error) => void }>} */
    this.waiting = new Map();
    /** @type {{ subscription: string, result: any }[]} */
    this.events = [];
    this.wake = () => {};
  }

  /** Takes what the light client says, until it ends. */
  async run() {
    for (;;) {
      const said = JSON.parse(await this.chain.nextJsonRpcResponse());
      const waiting = this.waiting.get(said.id);
      this.waiting.delete(said.id);
      if (said.params) {
        this.events.push(said.params);
        this.wake();
      } else if (said.error) waiting?.reject(new Error(String(said.error.message)));
      else waiting?.resolve(said.result);
    }
  }

  /**
   * @param {string} method
   * @param {unknown[]} params
   * @returns {Promise<any>}
   */
  call(method, ...params) {
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.chain.sendJsonRpc(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /**
   * The next event of a subscription that is meant, or its end. Those before it are dropped.
   *
   * @param {string} of
   * @param {(result: any) => boolean} isMeant
   */
  async event(of, isMeant) {
    for (;;) {
      const first = this.events.shift();
      if (!first) await new Promise((resolve) => (this.wake = () => resolve(null)));
      else if (first.subscription === of) {
        if (first.result.event === "stop" || isMeant(first.result)) return first.result;
      }
    }
  }
}

/**
 * Asks the chain at its final blocks until one has the end of the round. Nothing if the light
 * client ends the subscription: it does so where blocks stay pinned, and nobody unpins them here.
 *
 * @param {Calls} calls
 * @param {string} round
 * @param {number} known the newest block that the gateway knows
 * @returns {Promise<Proven | null>}
 */
async function follow(calls, round, known) {
  const of = await calls.call("chainHead_v1_follow", true);
  const isFinal = (/** @type {any} */ { event }) =>
    event === "initialized" || event === "finalized";
  for (;;) {
    const final = await calls.event(of, isFinal);
    if (final.event === "stop") return null;
    const hash = String(final.finalizedBlockHashes.at(-1));
    const block = blockNumber(await calls.call("chainHead_v1_header", of, hash));
    started();
    tell({ words: `Asking for a proof in the final block ${block}` });
    const call = ["RoundsApi_answer", question(round)];
    const { operationId } = await calls.call("chainHead_v1_call", of, hash, ...call);
    // Too many operations at once: the next block has room.
    if (operationId === undefined) continue;
    const done = await calls.event(of, (result) => result.operationId === operationId);
    if (done.event === "stop") return null;
    if (done.event === "operationError") throw new Error(String(done.error));
    if (done.event !== "operationCallDone") {
      tell({ words: `No node gave a proof in block ${block}; waiting for the next final block` });
      continue;
    }
    const found = answer(done.output);
    if (found?.phase === "done" || found?.phase === "failed") return { block, hash, ...found };
    if (!found && block >= known) {
      throw new Error(
        `The chain does not store round ${round} in its final block ${block}: it has removed it, ` +
          "so that nothing can be proven any more.",
      );
    }
    const behind = `The light client is at the final block ${block}`;
    tell({ words: `${behind}, where the round is not over; waiting for the next one` });
  }
}

/** Called once a final block is known. */
let started = () => {};

/** @param {string} round */
async function prove(round) {
  tell({ words: "Reading the specification of the chain" });
  const [specification, { block: known }] = await Promise.all([chainSpec(), swarm()]);
  const nodes = reachable(specification);
  if (nodes.length === 0) {
    throw new Error(
      "No node of the chain's specification can be reached from a browser. A node needs an " +
        "address with /ws or /wss: start it with --listen-addr /ip4/127.0.0.1/tcp/PORT/ws, or " +
        "name one in `bootnodes` of the gateway's configuration.",
    );
  }
  tell({ words: "Loading the light client" });
  const module = await import(CLIENT).catch(() => {
    throw new Error(
      "The light client is not installed: this gateway was started without --light-client.",
    );
  });
  tell({ words: `Connecting to ${named(nodes)}` });
  const client = module.start({
    forbidTcp: true,
    forbidWebRtc: true,
    maxLogLevel: 1,
    logCallback: () => {},
  });
  const chain = await client.addChain({ chainSpec: JSON.stringify(specification) });
  const calls = new Calls(chain);
  const late = new Promise((_, reject) => {
    const timer = setTimeout(async () => {
      const { peers } = await calls.call("system_health").catch(() => ({ peers: 0 }));
      const why = peers
        ? "The light client has a connection, and has not reached a final block of the chain"
        : `The light client has no connection to ${named(nodes)}`;
      reject(new Error(`${why} after ${PATIENCE / 1000} s.`));
    }, PATIENCE);
    started = () => clearTimeout(timer);
  });
  const proof = async () => {
    for (;;) {
      const found = await follow(calls, round, known);
      if (found) return found;
    }
  };
  return Promise.race([proof(), late, calls.run()]);
}

prove(new URLSearchParams(location.search).get("round") ?? "").then(
  (proven) => tell({ proven: /** @type {Proven} */ (proven) }),
  (error) => tell({ failed: error instanceof Error ? error.message : String(error) }),
);
