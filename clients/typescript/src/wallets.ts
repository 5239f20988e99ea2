// SPDX-License-Identifier: Apache-2.0
/** The accounts of wallet extensions in a browser. */

import type { PolkadotSigner } from "polkadot-api";
import { connectInjectedExtension, getInjectedExtensions } from "polkadot-api/pjs-signer";

/** An account that a wallet offers. */
export type WalletAccount = { name: string; signer: PolkadotSigner };

/** Asks every wallet for its accounts. A wallet that refuses offers none. */
export async function walletAccounts(): Promise<WalletAccount[]> {
  const offers = await Promise.allSettled(
    getInjectedExtensions().map(async (wallet) => {
      const accounts = (await connectInjectedExtension(wallet)).getAccounts();
      return accounts.map(({ address, name, polkadotSigner }) => ({
        name: `${name ?? address} (${wallet})`,
        signer: polkadotSigner,
      }));
    }),
  );
  return offers.flatMap((offer) => (offer.status === "fulfilled" ? offer.value : []));
}
