// SPDX-License-Identifier: Apache-2.0
/** The pages in Chromium, with a gateway of which every text is hostile. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, open, reachable, visit } from "./browser.js";
import { encoded, HOSTILE, KEY, lightClient, report, start } from "./fake.js";

const PAGES = {
  "/": "#over li",
  "/round/7": "tfoot",
  "/agents": "tbody tr",
  "/shards": "tfoot",
  "/disputes": "tbody tr",
  "/dispute/3": "tbody tr",
  "/ask": "#cost dl",
  "/settings": "#key",
};

/** What a page shows of the hostile text. */
const SHOWN = HOSTILE.replace("\u202e", "\ufffd");

/** @type {import("puppeteer-core").Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof start>>} */
let gateway;
before(async () => {
  [browser, gateway] = await Promise.all([open(), start()]);
});
after(async () => {
  await browser.close();
  gateway.close();
});

/** @param {import("puppeteer-core").Page} page */
async function assertTextStayedText(page) {
  assert.equal(await page.$("img, main script, main a[href^='javascript']"), null);
  assert.doesNotMatch(await page.title(), /broken/);
}

for (const [path, ready] of Object.entries(PAGES)) {
  test(`${path} shows hostile texts as texts, fits 360 pixels, and needs no mouse`, async () => {
    const { page, faults } = await visit(browser, gateway.url + path);
    await page.waitForSelector(ready);
    await assertTextStayedText(page);
    if (path !== "/settings" && path !== "/ask") {
      const texts = await page.$$eval("main .stranger", (found) =>
        found.map((one) => one.textContent),
      );
      assert(texts.includes(SHOWN), texts.join());
    }
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      const [ground, text] = await page.evaluate(() => {
        const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color];
      });
      const [lighter, darker] = scheme === "light" ? [ground, text] : [text, ground];
      assert(brightness(lighter) > 180 && brightness(darker) < 60, `${scheme}: ${ground} ${text}`);
      await accessible(page);
    }
    await fits(page, 1280);
    await fits(page, 360);
    await reachable(page);
    assert.deepEqual(faults, []);
    await page.close();
  });
}

/** @param {string | undefined} colour */
function brightness(colour) {
  const parts = (colour?.match(/\d+/g) ?? []).slice(0, 3).map(Number);
  return parts.reduce((sum, part) => sum + part, 0) / 3;
}

test("the matrix has each score at its ranker and answer, and the means of the chain", async () => {
  const { page } = await visit(browser, `${gateway.url}/round/7`);
  await page.waitForSelector("tfoot");
  const rows = await page.$$eval("[aria-label='Matrix of scores'] tr", (found) =>
    found.map((row) => [...row.querySelectorAll("th, td")].map((cell) => cell.textContent)),
  );
  const { candidates } = report(7);
  for (const row of rows.slice(1, -1)) {
    candidates.forEach(({ rankings }, column) => {
      const score = rankings.find(({ by }) => by === row[0])?.score;
      assert.equal(row[column + 2], score === undefined ? "–" : score.toFixed(4));
    });
  }
  const means = candidates.map(({ score }) => score.toFixed(4));
  assert.deepEqual(rows.at(-1)?.slice(2), means);
  assert.equal(rows.length, candidates.length + 2);
  await page.close();
});

test("the pace of each phase is shown", async () => {
  const { page } = await visit(browser, `${gateway.url}/`);
  await page.waitForSelector("caption");
  const rows = await page.$$eval("[aria-label='Pace of the phases'] tbody tr", (found) =>
    found.map((row) => [...row.children].map((cell) => cell.textContent)),
  );
  assert.deepEqual(rows[0], ["committing", "1 block", "9 blocks"]);
  assert.deepEqual(rows[3], ["disclosing", "4 blocks", "–"]);
  await page.close();
});

test("a case has its agents, its committee and what becomes of the stakes", async () => {
  const { page } = await visit(browser, `${gateway.url}/disputes`);
  await page.waitForFunction(() => document.querySelector("tbody td:nth-child(3)")?.textContent);
  const ends = await page.$$eval("tbody td:nth-child(3)", (found) =>
    found.map((cell) => cell.textContent),
  );
  assert.deepEqual(ends, ["in 24 blocks (144)", "forgotten in 10 blocks (130)", "now (119)"]);
  await page.locator("a[href='/dispute/3']").click();
  await page.waitForSelector("[aria-label='Committee']");
  const rows = await page.$$eval("tbody tr", (found) =>
    found.map((row) => [...row.children].slice(1).map((cell) => cell.textContent)),
  );
  assert.deepEqual(rows, [
    ["active", "guilty", "10 STAR", "slashed, unless somebody appeals"],
    ["no agent any more", "cleared", "0 STAR", "locked"],
    ["active", "revealed", "computed the span again"],
    ["chilled", "committed", "has committed"],
    ["no agent any more", "silent", "has said nothing"],
  ]);
  const facts = await page.$eval("dl.facts", (one) => one.textContent ?? "");
  assert.match(facts, /active, attested \(TDX\)/);
  assert.match(facts, /appeal before block 144/);
  await page.close();
});

test("where there are no disputes the page says so, and why", async (context) => {
  for (const [court, words] of /** @type {const} */ ([
    ["open", /^$/],
    ["closed", /governance/],
    ["none", /runtime/],
  ])) {
    const empty = await start({ court });
    context.after(() => empty.close());
    const { page, faults } = await visit(browser, `${empty.url}/disputes`);
    await page.waitForSelector("#none");
    assert.equal(await page.$eval("#none", (one) => one.textContent), "No disputes.");
    assert.match((await page.$eval("#court", (one) => one.textContent)) ?? "", words);
    await accessible(page);
    await fits(page, 360);
    assert.deepEqual(faults, []);
    await page.close();
  }
});

test("a link shows its page without a new document, and back returns", async () => {
  const { page } = await visit(browser, `${gateway.url}/`);
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  await page.locator("nav a[href='/agents']").click();
  await page.waitForSelector("tbody tr");
  assert.equal(new URL(page.url()).pathname, "/agents");
  assert.equal(await page.$eval("nav [aria-current]", (one) => one.textContent), "Agents");
  await page.goBack();
  await page.waitForSelector("#over li");
  assert(await page.$("[data-same]"));
  await page.close();
});

test("the cost is shown before a question is sent, and the answer stays text", async () => {
  const { page, faults } = await visit(browser, `${gateway.url}/ask`);
  await page.waitForSelector("#send:not([disabled])");
  const cost = await page.$eval("#cost", (one) => one.textContent);
  assert.match(cost ?? "", /costs1\.024844695848 STAR: fee 1 STAR, burnt 0\.024844695848 STAR/);
  assert.equal(gateway.asked.length, 0);
  await page.focus("#question");
  await page.keyboard.type("Why?");
  await page.keyboard.down("Control");
  await page.keyboard.press("Enter");
  await page.keyboard.up("Control");
  await page.waitForSelector(".answer details");
  const answer = await page.$eval(".answer blockquote .stranger", (one) => one.textContent);
  assert.equal(answer, SHOWN);
  await page.$eval(".answer details", (one) => one.setAttribute("open", ""));
  await assertTextStayedText(page);
  await accessible(page);
  await fits(page, 360);
  assert.deepEqual(gateway.asked[0]?.body.messages, [{ role: "user", content: "Why?" }]);

  await page.waitForSelector("#send:not([disabled])");
  await page.locator("#question").fill("And then?");
  await page.locator("#send").click();
  await page.waitForFunction(() => document.querySelectorAll(".answer details").length === 2);
  const roles = gateway.asked[1]?.body.messages.map((/** @type {any} */ one) => one.role);
  assert.deepEqual(roles, ["user", "assistant", "user"]);
  assert.notEqual(gateway.asked[0]?.name, gateway.asked[1]?.name);
  assert.deepEqual(faults, []);
  await page.close();
});

test("a question of a broken connection is looked for again under the same name", async (context) => {
  const cut = await start({ cuts: true });
  context.after(() => cut.close());
  const { page } = await visit(browser, `${cut.url}/ask`);
  await page.waitForSelector("#send:not([disabled])");
  await page.locator("#question").fill("Why?");
  await page.locator("#send").click();
  await page.waitForSelector(".answer button");
  assert.equal(await page.$(".answer details"), null);
  await page.locator(".answer button").click();
  await page.waitForSelector(".answer details");
  const [first, second] = cut.asked;
  assert.deepEqual(second, first);
  await page.close();
});

/** A node that a browser could reach, were it there: nothing listens at this port. */
const NODES = ["/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"];

/**
 * Presses the button of a round's page, with the keyboard, and gives what the page says at the end.
 *
 * @param {import("node:test").TestContext} context
 * @param {Parameters<typeof start>[0]} how
 */
async function verified(context, how) {
  const gateway = await start(how);
  context.after(() => gateway.close());
  const { page, faults, sockets } = await visit(browser, `${gateway.url}/round/7`);
  await page.waitForSelector(".verify");
  await page.focus(".verify");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".proof:is(.won, .bad)");
  const said = await page.$eval(".proof", (one) => one.textContent ?? "");
  assert.equal(await page.$("iframe"), null);
  await assertTextStayedText(page);
  await accessible(page);
  await fits(page, 360);
  await page.close();
  return { said, faults, sockets };
}

test("an answer that the chain has is verified, with its block", async (context) => {
  const light = lightClient(encoded(HOSTILE));
  const { said, faults, sockets } = await verified(context, { light, nodes: NODES });
  assert.equal(said, "✓ Proven: the chain has this answer in the final block 120, 0x0b.");
  assert.deepEqual([faults, sockets], [[], []]);
});

test("another answer than the chain's is not verified, nor one that it has removed", async (context) => {
  const other = { light: lightClient(encoded("Paris.")), nodes: NODES };
  assert.match((await verified(context, other)).said, /^✗ The chain has another answer/);
  const failed = { light: lightClient("0x01050100"), nodes: NODES };
  assert.match((await verified(context, failed)).said, /^✗ .* the round is failed without one/);
  const gone = { light: lightClient("0x00"), nodes: NODES };
  assert.match((await verified(context, gone)).said, /does not store round 7 .*has removed it/);
});

test("why nothing can be verified is told", async (context) => {
  const none = await verified(context, { nodes: NODES });
  assert.match(none.said, /light client is not installed/);
  const tcp = ["/ip4/127.0.0.1/tcp/30333/p2p/A"];
  const unreachable = await verified(context, { light: true, nodes: tcp });
  assert.match(unreachable.said, /address with \/ws or \/wss/);
  assert.deepEqual(unreachable.faults, []);
});

test("the light client of the package runs under its policy", async (context) => {
  const { said, faults, sockets } = await verified(context, { light: true, nodes: NODES });
  // It has compiled and read the specification, which is none.
  assert.match(said, /chain spec/i);
  assert.deepEqual([faults, sockets], [[], []]);
});

test("the answer to a question can be verified where it is shown", async (context) => {
  const light = lightClient(encoded(HOSTILE));
  const gateway = await start({ light, nodes: NODES });
  context.after(() => gateway.close());
  const { page, faults } = await visit(browser, `${gateway.url}/ask`);
  await page.waitForSelector("#send:not([disabled])");
  await page.locator("#question").fill("Why?");
  await page.locator("#send").click();
  await page.locator(".answer .verify").click();
  await page.waitForSelector(".answer .proof.won");
  assert.deepEqual(faults, []);
  await page.close();
});

test("a foreign page cannot frame a page, and a page alone may frame the light client", async () => {
  for (const [path, words] of [
    ["/", "frame-ancestors 'none'"],
    ["/light", "frame-ancestors 'self'"],
  ]) {
    const policy = (await fetch(gateway.url + path)).headers.get("content-security-policy");
    assert(policy?.includes(words ?? ""), policy ?? "");
  }
});

test("a gateway with keys gets the key of the settings", async (context) => {
  const locked = await start({ keys: true });
  context.after(() => locked.close());
  const { page } = await visit(browser, `${locked.url}/`);
  await page.locator("[role=alert] a").click();
  await page.locator("#key").fill(KEY);
  await page.locator("#save").click();
  await page.waitForFunction(() =>
    document.querySelector("#said")?.textContent?.includes("takes this key"),
  );
  await page.locator("nav a[href='/']").click();
  await page.waitForSelector("#over li");
  await page.locator("nav a[href='/settings']").click();
  await page.locator("#forget").click();
  await page.waitForFunction(() =>
    document.querySelector("#said")?.textContent?.includes("missing or wrong"),
  );
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
  await page.close();
});

test("a round that is not there is told", async () => {
  const { page } = await visit(browser, `${gateway.url}/round/99`);
  await page.waitForFunction(() => document.querySelector("[role=alert]")?.textContent);
  await page.close();
});
