// SPDX-License-Identifier: Apache-2.0
/** Asks from Node: `npm run ask -- "Why is the sky blue?"`. */

import { ask, connect, disconnect, progress, type Round } from "@starling/client";
import { development } from "@starling/client/development";

const prompt = process.argv[2];
if (!prompt) {
  console.error('usage: npm run ask -- "QUESTION"');
  process.exit(2);
}
const swarm = connect(process.env.STARLING_URL ?? "ws://127.0.0.1:9944");
try {
  let last: Round | undefined;
  await ask(swarm, development("Eve"), { prompt }).forEach(({ block, final, round }) => {
    if (!final) console.error(`block ${block}  ${progress(round).text}`);
    last = round;
  });
  if (last?.answer === undefined) {
    console.error(`round ${last?.id} ended without an answer: ${last?.failure}`);
    process.exitCode = 5;
  } else {
    console.log(last.answer);
    for (const { agent, score } of last.responses) {
      console.error(`${agent}  ${score?.toFixed(3) ?? "–"}`);
    }
  }
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  disconnect(swarm);
}
