// SPDX-License-Identifier: Apache-2.0
/** Against the running swarm at STARLING_URL; `scripts/swarm --keep` starts one. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { ask, connect, disconnect, type Swarm, type Update } from "@starling/client";
import { development } from "@starling/client/development";
import puppeteer, { type Browser } from "puppeteer-core";

const URL = process.env.STARLING_URL ?? "ws://127.0.0.1:9944";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE = 300_000;
/** A swarm may find no answer good enough; it says so, and one asks again. */
const TRIES = 3;

let swarm: Swarm;
before(() => {
  swarm = connect(URL);
});
after(() => disconnect(swarm));

/** Asks, and returns what was seen of the round. */
async function seen(): Promise<Update[]> {
  const updates: Update[] = [];
  const question = { prompt: "Why is the sky blue?", maxTokens: 32 };
  await ask(swarm, development("Eve"), question).forEach((update) => {
    updates.push(update);
  });
  return updates;
}

test("a question asked from Node is answered by the best of the swarm", async () => {
  let updates = await seen();
  for (let tries = 1; tries < TRIES && !updates.at(-1)?.round.answer; tries += 1) {
    updates = await seen();
  }
  const last = updates.at(-1);
  assert(last?.final);
  const { phase, answer, responses } = last.round;
  assert.equal(phase, "Done");
  assert(answer);
  const [best, ...others] = responses;
  assert(best?.won);
  assert.equal(best.text, answer);
  assert.equal(best.state, "valid");
  assert(others.every(({ won }) => !won));
  for (const other of others) {
    if (other.eligible) assert((best.score ?? 0) >= (other.score ?? 0));
  }
  const phases = updates.map(({ round }) => round.phase);
  assert(phases.includes("Committing"), phases.join());
});

test("a refusal of the chain is explained and named", async () => {
  const asking = ask(swarm, development("Eve"), { prompt: "Why?", fee: 1n }).forEach(() => {});
  await assert.rejects(asking, {
    name: "Refused",
    reason: "Rounds.FeeTooLow",
    message: "the chain refused: The fee is below MinFee, 1 STAR. (Rounds.FeeTooLow)",
  });
});

test("a page asks in a browser and shows the answer", { timeout: PATIENCE }, async (context) => {
  const built = spawnSync("npm", ["run", "--silent", "build"], { encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  const server = createServer(async (request, response) => {
    const name = request.url === "/page.js" ? "page.js" : "index.html";
    response.setHeader("content-type", name === "page.js" ? "text/javascript" : "text/html");
    response.end(await readFile(new globalThis.URL(`../public/${name}`, import.meta.url)));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  context.after(() => server.close());
  const browser: Browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  context.after(() => browser.close());

  const page = await browser.newPage();
  const errors: unknown[] = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const read = (selector: string) => page.$eval(selector, (found) => found.textContent ?? "");
  await page.locator("#url").fill(URL);
  await page.locator("#question").fill("What is the capital of France?");
  let status = "";
  for (let tries = 0; tries < TRIES && !status.endsWith("Done"); tries += 1) {
    await page.locator("#ask").click();
    await page.waitForSelector("#ask[disabled]", { timeout: PATIENCE });
    await page.waitForSelector("#ask:not([disabled])", { timeout: PATIENCE });
    status = await read("#status");
    assert.match(status, /^Round \d+, block \d+\. (Done|Failed: \w+)$/);
  }
  assert.match(status, /Done$/);
  const text = await read("#answer");
  assert(text.length > 0);
  const first = await page.$$eval("#candidates tbody tr:first-child td", (cells) =>
    cells.map((cell) => cell.textContent),
  );
  assert.equal(first[0], "★");
  assert.equal(first[3], text);
  assert.deepEqual(errors, []);
});
