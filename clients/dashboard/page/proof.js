// SPDX-License-Identifier: Apache-2.0
/** What a light client sends and gets, as bytes: SCALE, headers and addresses. */

/** A way that browsers can take: a WebSocket, encrypted or not. */
const REACHABLE = /\/tcp\/[0-9]+\/(tls\/)?wss?(\/|$)/;

/** The index of the phase `Done`. */
const DONE = 4;
const PHASES = ["committing", "revealing", "ranking", "disclosing", "done", "failed"];

/**
 * The nodes of a specification that a browser can reach, without their peer ids.
 *
 * @param {any} specification
 * @returns {string[]}
 */
export function reachable(specification) {
  /** @type {unknown[]} */
  const all = Array.isArray(specification?.bootNodes) ? specification.bootNodes : [];
  const texts = all.flatMap((one) => (typeof one === "string" ? [one] : []));
  const found = texts.filter((one) => REACHABLE.test(one));
  return found.map((one) => one.replace(/\/p2p\/.*$/, ""));
}

/** @param {Uint8Array} bytes */
const hex = (bytes) => `0x${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/** @param {string} text */
function bytes(text) {
  if (!/^0x([0-9a-f]{2})*$/i.test(text)) throw new Error("the light client gave no bytes");
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/**
 * The arguments of `RoundsApi_answer`.
 *
 * @param {string} round
 */
export function question(round) {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(round), true);
  return hex(number);
}

/** Reads values in their order. Each fails where the bytes end. */
class Reader {
  /** @param {Uint8Array} all */
  constructor(all) {
    this.all = all;
    this.at = 0;
  }

  /** @param {number} length */
  take(length) {
    const taken = this.all.slice(this.at, this.at + length);
    if (taken.length < length) throw new Error("the answer of the chain ends too early");
    this.at += length;
    return taken;
  }

  byte() {
    return this.take(1)[0] ?? 0;
  }

  /** A number in 1, 2, 4 or, behind its length, more bytes. */
  compact() {
    const first = this.byte();
    const kind = first & 3;
    const more = kind < 2 ? kind : kind === 2 ? 3 : (first >> 2) + 4;
    let value = kind === 3 ? 0n : BigInt(first);
    const shift = kind === 3 ? 0n : 8n;
    this.take(more).forEach((byte, index) => {
      value += BigInt(byte) << (shift + 8n * BigInt(index));
    });
    return Number(kind === 3 ? value : value >> 2n);
  }

  end() {
    if (this.at !== this.all.length) throw new Error("the answer of the chain is too long");
  }
}

/**
 * The result of `RoundsApi_answer`: nothing if the chain does not store the round. There is a text
 * only in the phase `done`.
 *
 * @param {string} output
 * @returns {{ phase: string, text: Uint8Array | null } | null}
 */
export function answer(output) {
  const reader = new Reader(bytes(output));
  if (reader.byte() === 0) return null;
  const index = reader.byte();
  const phase = PHASES[index];
  if (!phase) throw new Error("the chain has a phase that this page does not know");
  if (index !== DONE) return { phase, text: null };
  if (reader.byte() === 1) reader.take(32);
  const text = reader.byte() === 1 ? reader.take(reader.compact()) : null;
  reader.end();
  return { phase, text };
}

/**
 * The number of a block.
 *
 * @param {string} header
 */
export function blockNumber(header) {
  const reader = new Reader(bytes(header));
  reader.take(32);
  return reader.compact();
}

/**
 * Whether a text of the gateway is that of the chain. The gateway decodes as `TextDecoder` does, so
 * equal texts of valid UTF-8 are equal bytes, and bytes that are no text are replaced alike.
 *
 * @param {string} shown
 * @param {Uint8Array} proven
 */
export function same(shown, proven) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(proven) === shown;
}
