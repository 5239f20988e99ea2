// SPDX-License-Identifier: Apache-2.0
/** Development accounts. Their keys are public: never use them on a chain of value. */

import { sr25519CreateDerive } from "@polkadot-labs/hdkd";
import { DEV_PHRASE, entropyToMiniSecret, mnemonicToEntropy } from "@polkadot-labs/hdkd-helpers";
import type { PolkadotSigner } from "polkadot-api";
import { getPolkadotSigner } from "polkadot-api/signer";

const derive = sr25519CreateDerive(entropyToMiniSecret(mnemonicToEntropy(DEV_PHRASE)));

/** The account of a name such as `Eve`. */
export function development(name: string): PolkadotSigner {
  const pair = derive(`//${name}`);
  return getPolkadotSigner(pair.publicKey, "Sr25519", pair.sign);
}
