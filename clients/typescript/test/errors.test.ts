// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { currency, format } from "../src/amount.js";
import { path, withConstants } from "../src/errors.js";

const constants = async (name: string) => (name === "MinFee" ? "1 STAR" : undefined);

test("constants are told with their values", async () => {
  for (const [words, told] of [
    ["The fee is below `MinFee`.", "The fee is below MinFee, 1 STAR."],
    ["Below `MinFee` or odd", "Below MinFee, 1 STAR, or odd"],
    ["`max_tokens` is above `MaxTokens`.", "max_tokens is above MaxTokens."],
    ["MinFee unquoted", "MinFee unquoted"],
  ] as const) {
    assert.equal(await withConstants(words, constants), told);
  }
});

test("an error is named from the outside to the inside", () => {
  const error = { type: "Invalid", value: { type: "Custom", value: 7 } };
  assert.deepEqual(path(error), ["Invalid", "Custom"]);
  assert.deepEqual(path({ type: "BadOrigin", value: undefined }), ["BadOrigin"]);
});

test("amounts have no more digits than they need", () => {
  const star = currency({});
  assert.equal(format(1_500_000_000_000n, star), "1.5 STAR");
  assert.equal(format(2_000_000_000_000n, star), "2 STAR");
  assert.equal(format(1n, star), "0.000000000001 STAR");
  assert.equal(format(10n, currency({ tokenSymbol: "UNIT", tokenDecimals: 0 })), "10 UNIT");
  assert.equal(format(10n, currency(undefined)), "0.00000000001 STAR");
});
