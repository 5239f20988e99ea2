// SPDX-License-Identifier: Apache-2.0
/** The running swarm at STARLING_URL, and the gateway at STARLING_GATEWAY. */

import { ApiPromise, Keyring, WsProvider } from "@polkadot/api";

export const NODE_URL = process.env.STARLING_URL ?? "ws://127.0.0.1:9944";
export const GATEWAY_URL = process.env.STARLING_GATEWAY ?? "http://127.0.0.1:8042";
export const QUESTION = "Why is the sky blue?";
export const PATIENCE = 300_000;
/** A swarm may find no answer good enough; it says so, and one asks again. */
export const TRIES = 3;
/** The least fee that the chain accepts. */
export const STAR = 1_000_000_000_000n;

/**
 * A connection to the node, or to a fork of its chain.
 * @param {string} url
 */
export function connect(url) {
  return ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
}

/** @param {string} name of a development account */
export function account(name) {
  return new Keyring({ type: "sr25519" }).addFromUri(`//${name}`);
}

/**
 * The request of a question.
 * @param {ApiPromise} api
 * @param {bigint} fee
 */
export function request(api, fee = STAR) {
  return api.tx.rounds.request(QUESTION, fee, 32, 2, 8);
}

/**
 * Sends a transaction and waits until it is in a block.
 * @param {import("@polkadot/api/types").SubmittableExtrinsic<"promise">} transaction
 * @param {import("@polkadot/keyring/types").KeyringPair} signer
 * @returns {Promise<import("@polkadot/types/interfaces").EventRecord[]>} its events
 */
export function inBlock(transaction, signer) {
  return new Promise((resolve, reject) => {
    transaction
      .signAndSend(signer, ({ status, events, isError }) => {
        if (status.isInBlock) resolve(events);
        else if (isError) reject(new Error(`the pool says ${status.type}`));
      })
      .catch(reject);
  });
}

/**
 * The number of the round that these events opened.
 * @param {import("@polkadot/types/interfaces").EventRecord[]} events
 */
export function roundOf(events) {
  const opened = events.find(
    ({ event }) => event.section === "rounds" && event.method === "Requested",
  );
  if (!opened) throw new Error("no round was opened");
  return Number(opened.event.data[0]?.toString());
}
