// SPDX-License-Identifier: Apache-2.0
/**
 * The pages of a real gateway over the running swarm at STARLING_URL; `scripts/swarm --keep` starts
 * one. STARLING_CLIENT names the program `starling`. With STARLING_PICTURES the pages are drawn
 * into that folder.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fits, open, reachable, visit } from "./browser.js";
import { POLICY } from "./fake.js";

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
  const more = ["--listen", "127.0.0.1:0", "--data", folder];
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
  for (const path of ["/nowhere", "/page/", "/page/app", "/round/x", "/v1/nothing"]) {
    assert.equal((await fetch(url + path)).status, 404, path);
  }
});

test("a question is priced, asked, watched and told", { timeout: 4 * PATIENCE }, async () => {
  const home = await visit(browser, `${url}/`);
  const { page, faults } = await visit(browser, `${url}/ask`);
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

for (const [path, ready] of [
  ["/", "#over li"],
  ["/agents", "tbody tr"],
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
