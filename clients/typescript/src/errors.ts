// SPDX-License-Identifier: Apache-2.0
/** The chain's refusals, in words. */

import { decAnyMetadata, unifyMetadata } from "@polkadot-api/substrate-bindings";
import { InvalidTxError } from "polkadot-api";
import { type Currency, currency, format } from "./amount.js";
import type { Swarm } from "./swarm.js";

/** The chain, or the transaction pool of the node, refused a transaction. */
export class Refused extends Error {
  /** @param reason the name of the error, as in `Rounds.FeeTooLow` */
  constructor(
    readonly reason: string,
    words?: string,
  ) {
    super(`the chain refused: ${words ? `${words} (${reason})` : reason}`);
    this.name = "Refused";
  }
}

/** An enum of the chain, with enums inside. */
type Nested = { type: string; value?: unknown };

/** The pool's refusals in words for the sender, with a remedy. */
const POOL: Record<string, string> = {
  Payment: "the account cannot pay the fee of the transaction",
  Stale: "the account has sent another transaction; try again",
  BadProof: "the signature does not fit: the node is on another chain or runtime",
  ExhaustsResources: "the blocks of the chain are full; try again later",
};

/** Turns an error of a transaction into `Refused`. Another error stays as it is. */
export async function refusal(swarm: Swarm, error: unknown): Promise<unknown> {
  if (error instanceof InvalidTxError) {
    const names = path(error.error);
    return new Refused(names.join("."), POOL[names.at(-1) ?? ""]);
  }
  if (error instanceof Error || !isNested(error)) return error;
  const names = path(error);
  if (names[0] !== "Module") return new Refused(names.join("."));
  const [, pallet = "", name = ""] = names;
  // The words are a convenience: without them the name must do.
  const words = await wordsOf(swarm, pallet, name).catch(() => undefined);
  return new Refused(`${pallet}.${name}`, words);
}

/** The names from the outermost enum to the innermost one. */
export function path(error: Nested): string[] {
  return [error.type, ...(isNested(error.value) ? path(error.value) : [])];
}

function isNested(value: unknown): value is Nested {
  return typeof value === "object" && value !== null && "type" in value;
}

/** The documentation of a pallet's error in the metadata, with the values of its constants. */
async function wordsOf(swarm: Swarm, pallet: string, name: string): Promise<string | undefined> {
  const { hash } = await swarm.client.getFinalizedBlock();
  const metadata = unifyMetadata(decAnyMetadata(await swarm.client.getMetadata(hash)));
  const found = metadata.pallets.find((other) => other.name === pallet);
  const errors = metadata.lookup.find(({ id }) => id === found?.errors?.type);
  if (errors?.def.tag !== "variant") return undefined;
  const docs = errors.def.value.find((variant) => variant.name === name)?.docs;
  if (!docs?.length) return undefined;
  const known = new Set(found?.constants.map((constant) => constant.name));
  const { properties } = await swarm.client.getChainSpecData();
  return withConstants(docs.join(" ").trim(), async (constant) =>
    known.has(constant)
      ? told(await swarm.api.constants[pallet]?.[constant]?.(), currency(properties))
      : undefined,
  );
}

/** A constant of 128 bits is an amount. */
function told(value: unknown, currency: Currency): string | undefined {
  if (typeof value === "bigint") return format(value, currency);
  return typeof value === "number" ? String(value) : undefined;
}

/** Adds its value to each name in backticks that has one. */
export async function withConstants(
  words: string,
  value: (name: string) => Promise<string | undefined>,
): Promise<string> {
  const parts = await Promise.all(
    words.split("`").map(async (part, index) => {
      const told = index % 2 === 1 ? await value(part) : undefined;
      return told === undefined ? part : `${part}, ${told},`;
    }),
  );
  // A clause that ends the sentence needs no second comma.
  return parts.join("").replaceAll(",.", ".").replace(/[, ]+$/, "");
}
