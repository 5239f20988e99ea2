// SPDX-License-Identifier: Apache-2.0
/** Chromium for the tests, and what holds on every page. */

import assert from "node:assert/strict";
import axe from "axe-core";
import puppeteer from "puppeteer-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Far longer than a page needs, so that a busy machine fails nobody, in milliseconds. */
const PATIENCE = 120_000;

export const open = () =>
  puppeteer.launch({
    executablePath: CHROMIUM,
    timeout: PATIENCE,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });

/** What a keyboard must reach. */
const REACHABLE = "a[href], button:not([disabled]), input, select, textarea, summary, .scroll";

/**
 * A page that notes every fault: an error, a refusal of the policy, a request to another origin.
 * `sockets` are the addresses of its WebSockets, and of those of its frames.
 *
 * @param {import("puppeteer-core").Browser} browser
 * @param {string} url
 */
export async function visit(browser, url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    // A status of the gateway is told by the page, and is no fault of it.
    if (message.type() === "error" && !text.startsWith("Failed to load resource"))
      faults.push(text);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) faults.push(request.url());
  });
  /** @type {string[]} */
  const sockets = [];
  const session = await page.createCDPSession();
  session.on("Network.webSocketCreated", (socket) => sockets.push(socket.url));
  await session.send("Network.enable");
  await page.goto(url);
  return { page, faults, sockets };
}

/**
 * @param {import("puppeteer-core").Page} page
 * @param {number} width
 */
export async function fits(page, width) {
  await page.setViewport({ width, height: 740 });
  const { wide, seen } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { wide: scrollWidth, seen: clientWidth };
  });
  assert(wide <= seen, `${page.url()} is ${wide} wide in ${seen}`);
}

/**
 * Looks for what keeps people from a page: contrast, names, structure.
 *
 * @param {import("puppeteer-core").Page} page
 */
export async function accessible(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (globalThis).axe.run();
    return violations.map((/** @type {any} */ one) => [
      one.id,
      one.nodes[0].failureSummary,
      one.nodes[0].html.slice(0, 120),
    ]);
  });
  assert.deepEqual(found, [], page.url());
}

/**
 * Goes through the page with the tabulator. Everything must be reached and show that it is.
 *
 * @param {import("puppeteer-core").Page} page
 */
export async function reachable(page) {
  const count = await page.evaluate((selector) => {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    const all = [...document.querySelectorAll(selector)];
    // Within `details` that are closed, and hidden parts.
    const seen = all.filter((one) => one.checkVisibility());
    seen.forEach((one, index) => one.setAttribute("data-test", String(index)));
    return seen.length;
  }, REACHABLE);
  assert(count > 4, `${page.url()} has ${count} elements to reach`);
  const reached = new Set();
  for (let presses = 0; presses < 2 * count + 4; presses += 1) {
    await page.keyboard.press("Tab");
    const mark = await page.evaluate(() => {
      const one = document.activeElement;
      if (!one || one === document.body) return null;
      return { mark: one.getAttribute("data-test"), outline: getComputedStyle(one).outlineStyle };
    });
    if (mark?.mark) {
      assert.notEqual(mark.outline, "none", `${page.url()}: the focus on ${mark.mark} is not seen`);
      reached.add(mark.mark);
    }
  }
  const missed = await page.evaluate(
    (reached) =>
      [...document.querySelectorAll("[data-test]")]
        .filter((one) => !reached.includes(one.getAttribute("data-test") ?? ""))
        .map((one) => one.outerHTML.slice(0, 80)),
    /** @type {string[]} */ ([...reached]),
  );
  assert.deepEqual(missed, [], page.url());
}
