// SPDX-License-Identifier: Apache-2.0
/** Asks from Node: `npm run ask -- "Why is the sky blue?"`. */

import { getWsProvider } from "polkadot-api/ws";
import { tap, lastValueFrom } from "rxjs";
import { development } from "./signer.js";
import { answer, ask, connect, progress, ranked, score } from "./swarm.js";

const prompt = process.argv[2];
if (!prompt) {
  console.error('usage: npm run ask -- "QUESTION"');
  process.exit(2);
}
const swarm = connect(getWsProvider(process.env.STARLING_URL ?? "ws://127.0.0.1:9944"));
try {
  const { id, round } = await lastValueFrom(
    ask(swarm, development("Eve"), { prompt }).pipe(
      tap((update) => {
        if (!update.final) console.error(`block ${update.block}  ${progress(update.round)}`);
      }),
    ),
  );
  const text = answer(round);
  if (text === undefined) {
    console.error(`round ${id} ended without an answer: ${progress(round)}`);
    process.exitCode = 5;
  } else {
    console.log(text);
    for (const response of ranked(round)) {
      console.error(`${response.agent}  ${score(response)?.toFixed(3) ?? "–"}`);
    }
  }
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  swarm.client.destroy();
}
