// SPDX-License-Identifier: Apache-2.0
/**
 * The pages of a real gateway over the running swarm at STARLING_URL; `scripts/swarm --keep` starts
 * one. STARLING_CLIENT names the program `starling`. With STARLING_PICTURES the pages are drawn
 * into that folder, as `npm run pictures` has it.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { fits, open, reachable, visit } from "./browser.js";
import { LIGHT_POLICY, POLICY } from "./fake.js";

const URL_OF_NODE = process.env.STARLING_URL ?? "ws://127.0.0.1:9944";
const CLIENT = process.env.STARLING_CLIENT ?? "starling";
const PICTURES = process.env.STARLING_PICTURES;
const PATIENCE = 300_000;
/** A swarm may find no answer good enough; it says so, and one asks again. */
const TRIES = 3;
const QUESTION = `What is the capital of France? <img src=x onerror="document.title='broken'">`;

/** @type {import("puppeteer-core").Browser} */
let browser;
/** @type {import("node:child_process").ChildProcess} */
let gateway;
/** @type {string} */
let folder;
/** @type {string} */
let url;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "starling-dashboard-"));
  const { STARLING_SURI: _, ...env } = process.env;
  const words = ["--json", "--url", URL_OF_NODE, "gateway", "--dev", "eve"];
  const light = fileURLToPath(new URL("../node_modules/smoldot", import.meta.url));
  const more = ["--listen", "127.0.0.1:0", "--data", folder, "--light-client", light];
  const stdio = /** @type {const} */ (["ignore", "pipe", "inherit"]);
  const started = spawn(CLIENT, [...words, ...more], { env, stdio: [...stdio] });
  gateway = started;
  if (!started.stdout) throw new Error("the gateway has no output");
  const line = await new Promise((resolve, reject) => {
    started.on("error", reject);
    started.on("exit", () => reject(new Error("the gateway ended")));
    createInterface({ input: /** @type {any} */ (started.stdout) }).once("line", resolve);
  });
  url = `http://${JSON.parse(String(line)).listen}`;
  browser = await open();
});
after(async () => {
  await browser?.close();
  gateway?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** @param {string} path */
async function json(path) {
  const response = await fetch(url + path);
  assert.equal(response.status, 200, path);
  return response.json();
}

/**
 * @param {import("puppeteer-core").Page} page
 * @param {string} name
 */
async function draw(page, name) {
  if (!PICTURES) return;
  for (const [scheme, width] of /** @type {const} */ ([
    ["light", 1000],
    ["dark", 360],
  ])) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.setViewport({ width, height: 640 });
    const path = /** @type {`${string}.png`} */ (join(PICTURES, `${name}-${scheme}.png`));
    await page.screenshot({ path, fullPage: true });
  }
}

test("files have their types and the policy, and unknown paths are not found", async () => {
  for (const [path, type] of [
    ["/", "text/html; charset=utf-8"],
    ["/round/7", "text/html; charset=utf-8"],
    ["/page/app.js", "text/javascript; charset=utf-8"],
    ["/page/style.css", "text/css; charset=utf-8"],
  ]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get("content-type"), type);
    assert.equal(response.headers.get("content-security-policy"), POLICY);
  }
  const light = await fetch(`${url}/light`);
  assert.equal(light.headers.get("content-security-policy"), LIGHT_POLICY);
  const module = await fetch(`${url}/light-client/index-browser.js`);
  assert.equal(module.headers.get("content-type"), "text/javascript; charset=utf-8");
  for (const path of ["/nowhere", "/page/", "/page/app", "/round/x", "/v1/nothing"]) {
    assert.equal((await fetch(url + path)).status, 404, path);
  }
});

/** @param {string} address of a node, such as `/ip4/127.0.0.1/tcp/30333/ws` */
const port = (address) => /\/tcp\/([0-9]+)/.exec(address)?.[1] ?? "";

test("a question is priced, asked, watched and told", { timeout: 4 * PATIENCE }, async () => {
  const home = await visit(browser, `${url}/`);
  const { page, faults, sockets } = await visit(browser, `${url}/ask`);
  await page.waitForSelector("#send:not([disabled])", { timeout: PATIENCE });
  const cost = await json("/v1/models/starling/cost");
  assert.equal(BigInt(cost.sum), BigInt(cost.fee) + BigInt(cost.burnt) + BigInt(cost.on_hold));
  assert.match((await page.$eval("#cost", (one) => one.textContent)) ?? "", /fee 1 STAR/);

  let round;
  for (let tries = 0; tries < TRIES && round === undefined; tries += 1) {
    await page.bringToFront();
    await page.locator("#question").fill(QUESTION);
    await page.waitForSelector("#send:not([disabled])", { timeout: PATIENCE });
    await page.locator("#send").click();
    // Rounds come and go on the other page while this one waits.
    await home.page.bringToFront();
    await home.page.waitForSelector("#open .phases", { timeout: PATIENCE });
    if (tries === 0) await draw(home.page, "rounds");
    await page.bringToFront();
    await page.waitForSelector(".answer:last-child :is(details, .bad)", { timeout: PATIENCE });
    const told = await page.$(".answer:last-child details");
    if (told) round = Number(await told.$eval("a", (one) => one.pathname.split("/").at(-1)));
  }
  assert(round !== undefined, "the swarm found no answer");
  const asked = await page.$$eval(
    ".talk > :not(.answer) .stranger",
    (all) => all.at(-1)?.textContent,
  );
  assert.equal(asked, QUESTION);
  await draw(page, "ask");

  await page.goto(`${url}/round/${round}`);
  await page.waitForSelector("tfoot", { timeout: PATIENCE });
  assert.equal(await page.$eval("#prompt", (one) => one.textContent), QUESTION);
  assert.equal(await page.$("img"), null);
  const report = await json(`/v1/rounds/${round}`);
  for (const { score, rankings } of report.candidates) {
    /** @type {{ weight: number, score: number }[]} */
    const given = rankings;
    const weight = given.reduce((sum, one) => sum + one.weight, 0);
    if (weight === 0) continue;
    const mean = given.reduce((sum, one) => sum + one.weight * one.score, 0) / weight;
    assert(Math.abs(mean - score) < 1e-4, `${mean} is not the chain's ${score}`);
  }

  // The light client has the answer by proof, from the node that the gateway names.
  const { bootNodes } = await json("/chain-spec.json");
  assert(bootNodes.length > 0, "no node can be reached from a browser");
  await page.focus(".verify");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".proof:is(.won, .bad)", { timeout: PATIENCE });
  const proof = await page.$eval(".proof", (one) => one.textContent ?? "");
  const [, block] = /^✓ Proven: .* block ([0-9]+), 0x[0-9a-f]{64}\.$/.exec(proof) ?? [];
  assert(block !== undefined, proof);
  const ended = report.blocks.find((/** @type {any} */ one) => one.phase === "done");
  assert(Number(block) >= ended.block, `${proof} The round ended in ${ended.block}.`);
  const named = bootNodes.map((/** @type {string} */ one) => port(one));
  assert(sockets.length > 0 && sockets.every((one) => named.includes(new URL(one).port)), proof);
  await draw(page, "round");

  await home.page.bringToFront();
  await home.page.waitForSelector(`#over a[href='/round/${round}']`, { timeout: PATIENCE });
  assert.doesNotMatch(await home.page.title(), /broken/);
  assert.deepEqual([...faults, ...home.faults], []);
  await page.close();
  await home.page.close();
});

test("agents have models and ratings over rounds", async () => {
  const { page, faults } = await visit(browser, `${url}/agents`);
  await page.waitForSelector("svg polyline", { timeout: PATIENCE });
  const { data } = await json("/v1/agents");
  assert.equal(data.length, 4);
  assert.equal((await page.$$("tbody tr")).length, 4);
  assert.equal((await page.$$("svg.chart polyline")).length, 4);
  await draw(page, "agents");
  assert.deepEqual(faults, []);
  await page.close();
});

test("the page of layers has what the node tells of them", async () => {
  const { page, faults } = await visit(browser, `${url}/shards`);
  const { serves, models } = await json("/v1/layers");
  // The agents of this swarm hold their models alone.
  assert.deepEqual([serves, models], [true, []]);
  await page.waitForSelector("#none", { timeout: PATIENCE });
  await draw(page, "shards");
  assert.deepEqual(faults, []);
  await page.close();
});

test("the page of disputes says that there are none", async () => {
  const { page, faults } = await visit(browser, `${url}/disputes`);
  // The agents of this swarm compute no layers for each other, so nobody is accused.
  const { court, data } = await json("/v1/disputes");
  assert.deepEqual([court, data], ["open", []]);
  await page.waitForSelector("#none", { timeout: PATIENCE });
  assert.equal(await page.$eval("#court", (one) => one.textContent), "");
  await draw(page, "disputes");
  assert.equal((await fetch(`${url}/v1/disputes/0`)).status, 404);
  assert.deepEqual(faults, []);
  await page.close();
});

for (const [path, ready] of [
  ["/", "#over li"],
  ["/agents", "tbody tr"],
  ["/shards", "#none"],
  ["/disputes", "#none"],
  ["/ask", "#cost dl"],
  ["/settings", "#key"],
]) {
  test(`${path} fits 360 pixels and needs no mouse`, { timeout: PATIENCE }, async () => {
    const { page, faults } = await visit(browser, url + path);
    await page.waitForSelector(ready ?? "", { timeout: PATIENCE });
    await fits(page, 360);
    await reachable(page);
    assert.deepEqual(faults, []);
    await page.close();
  });
}
