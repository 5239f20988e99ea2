// SPDX-License-Identifier: Apache-2.0
/** Amounts, numbers and texts for people. */

/** @typedef {{ symbol: string, decimals: number }} Currency */

/**
 * An amount in the smallest unit, with all its decimals.
 *
 * @param {string | null | undefined} amount
 * @param {Currency} currency
 */
export function money(amount, { symbol, decimals }) {
  if (!amount || !/^[0-9]+$/.test(amount)) return "–";
  const digits = amount.padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return `${whole}${fraction && "."}${fraction} ${symbol}`;
}

/**
 * The share of an amount in another, from 0 to 1.
 *
 * @param {string} part
 * @param {bigint} whole
 */
export function share(part, whole) {
  return whole > 0n ? Number((BigInt(part) * 10_000n) / whole) / 10_000 : 0;
}

/**
 * A score, rating or weight.
 *
 * @param {number | null | undefined} number
 * @param {number} [digits]
 */
export function decimal(number, digits = 3) {
  return typeof number === "number" ? number.toFixed(digits) : "–";
}

/**
 * A number of things.
 *
 * @param {number} number
 * @param {string} thing
 */
export const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

/**
 * Layers from the first to one past the last.
 *
 * @param {[number, number]} layers
 */
export function span([start, end]) {
  if (end <= start) return "none";
  return end - start === 1 ? `${start}` : `${start}–${end - 1}`;
}

/** @param {string} address */
export function short(address) {
  return address.length > 14 ? `${address.slice(0, 6)}…${address.slice(-6)}` : address;
}

/**
 * A text with a mark in place of every character that is invisible or would reorder it, as
 * `starling` prints it. Line breaks, tabs and joiners stay.
 *
 * @param {string} text
 */
export function printable(text) {
  return text.replace(/(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
}
