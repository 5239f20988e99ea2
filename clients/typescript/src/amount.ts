// SPDX-License-Identifier: Apache-2.0
/** Amounts in words. */

/** The currency of a chain. */
export type Currency = { symbol: string; decimals: number };

/** The currency that the properties of a chain specification name [default: STAR]. */
export function currency(properties: unknown): Currency {
  const { tokenSymbol, tokenDecimals } = (properties ?? {}) as Record<string, unknown>;
  return {
    symbol: typeof tokenSymbol === "string" ? tokenSymbol : "STAR",
    decimals: typeof tokenDecimals === "number" ? tokenDecimals : 12,
  };
}

/** Writes an amount to the last decimal, without trailing zeros. */
export function format(amount: bigint, { symbol, decimals }: Currency): string {
  const digits = amount.toString().padStart(decimals + 1, "0");
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  const whole = digits.slice(0, digits.length - decimals);
  return `${whole}${fraction && decimals ? `.${fraction}` : ""} ${symbol}`;
}
