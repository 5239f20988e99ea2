// SPDX-License-Identifier: Apache-2.0
/** Compares src/chain.ts with the metadata of a running chain: `npm run check-chain`. */

import type { TypedApi } from "polkadot-api";
import type { starling } from "../../.papi/descriptors/dist/index.js";
import type { Api, AskArguments, OutcomeView, RequestArguments, RoundView } from "../../src/chain.js";

type Chain = TypedApi<typeof starling>;
type Returned<F extends (...all: never[]) => Promise<unknown>> = Awaited<ReturnType<F>>;

/** Compiles only where the second type can stand for the first one. */
type Accepts<Wanted, _Given extends Wanted> = true;
/** `any` could stand for everything. */
type IsAny<T> = 0 extends 1 & T ? true : false;

export type Checked = [
  Accepts<false, IsAny<typeof starling>>,
  // The package reads the chain's return types.
  Accepts<RoundView | undefined, Returned<Chain["apis"]["RoundsApi"]["round"]>>,
  Accepts<
    OutcomeView | undefined,
    Returned<Chain["apis"]["CapabilitiesApi"]["outcome"]>
  >,
  Accepts<bigint, Returned<Chain["constants"]["Rounds"]["MinFee"]>>,
  Accepts<number, Returned<Chain["constants"]["Rounds"]["MinResponses"]>>,
  Accepts<
    ReturnType<Api["event"]["Rounds"]["Requested"]["filter"]>,
    ReturnType<Chain["event"]["Rounds"]["Requested"]["filter"]>
  >,
  // The chain takes the package's arguments.
  Accepts<Parameters<Chain["tx"]["Rounds"]["request"]>[0], RequestArguments>,
  Accepts<Parameters<Chain["tx"]["Capabilities"]["ask"]>[0], AskArguments>,
];
