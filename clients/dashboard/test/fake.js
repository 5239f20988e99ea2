// SPDX-License-Identifier: Apache-2.0
/** A gateway of the page's tests: the real files, and answers in which every text is hostile. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

/** What the gateway serves its pages with; `swarm.test.js` compares. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

/** Would change the title of the page if it were anything but text. */
export const HOSTILE =
  `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>` +
  `<a href="javascript:document.title='broken'">click</a> \u202egnp.exe ${"w".repeat(120)}`;

export const KEY = "key-of-the-test";

const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

/** @param {string} name */
const account = (name) => ({ name, address: `5${name.padEnd(47, "x").slice(0, 47)}` });
const agents = ["Alice", "Bob", HOSTILE, "Dave"].map(account);

/** @param {number} round */
function listed(round, phase = "done", thousandths = 1000) {
  return {
    round,
    prompt: HOSTILE,
    requester: account("Eve"),
    phase,
    failure: phase === "failed" ? "NoRankings" : null,
    words: `${phase}: 2 of 4`,
    thousandths,
    requested_at: 10 * round,
    since: 10 * round + 5,
    deadline: 10 * round + 9,
    fee: "1000000000000",
    winner: phase === "done" ? agents[2] : null,
    answer: phase === "done" ? HOSTILE : null,
    ratings: agents.map(({ address }, index) => ({
      agent: address,
      rating: 0.9 - 0.1 * index + 0.01 * round,
    })),
  };
}

/** @param {number} round */
export function report(round) {
  const weights = [0.4, 0.3, 0.2, 0.1];
  const candidates = agents.map((agent, column) => {
    const rankings = agents.flatMap(({ name }, row) => {
      const weight = weights[row] ?? 0;
      return row === column
        ? []
        : [{ by: name, score: 0.2 + 0.1 * row + 0.05 * column, rating: 0.9, weight }];
    });
    const total = rankings.reduce((sum, { weight }) => sum + weight, 0);
    const score = rankings.reduce((sum, { weight, score }) => sum + weight * score, 0) / total;
    return {
      agent,
      model: HOSTILE,
      won: column === 2,
      text: column === 3 ? null : HOSTILE,
      state: column === 3 ? "spoiled" : "valid",
      score,
      rankings,
      rating: 0.9,
      weight: weights[column] ?? 0,
      paid: "250000000000",
      slashed: "0",
    };
  });
  return {
    round,
    prompt: HOSTILE,
    requester: account("Eve"),
    phase: "done",
    failure: null,
    why: HOSTILE,
    answer: HOSTILE,
    candidates,
    terms: {
      fee: "1000000000000",
      deposit: "5159200000000",
      ticket: "20",
      max_tokens: 64,
      min_responses: 2,
      max_responses: 8,
    },
    settlement: {
      refunded: "0",
      forfeited: "0",
      slashed: "0",
      subsidy: "0",
      winner: "700000000000",
      rankers: "200000000000",
      treasury: "100000000000",
      burnt: "0",
    },
    blocks: [
      { phase: "committing", block: 70 },
      { phase: "done", block: 76 },
    ],
  };
}

/** @type {Record<string, () => unknown>} */
const READS = {
  "/v1/swarm": () => ({
    chain: "00000000",
    block: 120,
    final_block: 118,
    open_rounds: 1,
    next_round: 9,
    currency: { symbol: "STAR", decimals: 12 },
  }),
  "/v1/rounds": () => ({
    block: 120,
    data: [listed(8, "ranking", 625), listed(7), listed(6, "failed"), listed(5)],
  }),
  "/v1/rounds/7": () => report(7),
  "/v1/agents": () => ({
    block: 120,
    data: agents.map(({ name, address }, index) => ({
      agent: address,
      name,
      model: HOSTILE,
      active: index !== 3,
      chilled: index === 3,
      bond: "100000000000000",
      reserved: "0",
      rating: 0.9 - 0.1 * index,
      weight: 0.4,
      open_rounds: 1,
      tickets: { free: "10000000000000", staked: "0" },
    })),
  }),
  "/v1/models": () => ({ data: [{ id: "starling" }, { id: "starling-careful" }] }),
  "/v1/models/starling/cost": () => ({
    model: "starling",
    fee: "1000000000000",
    burnt: "24844695848",
    on_hold: "5159200000000",
    sum: "6184044695848",
    spendable: "99000000000000",
    max_tokens: 64,
    most_tokens: 256,
  }),
};

const details = () => ({
  round: 7,
  block: 70,
  phase: "done",
  winner: agents[2]?.address,
  score: 0.5,
  why: HOSTILE,
  cost: { fee: "1000000000000", burnt: "24844695848", on_hold: "5159200000000" },
  candidates: agents.map(({ address }) => ({
    agent: address,
    model: HOSTILE,
    text: HOSTILE,
    score: 0.5,
    paid: "1",
  })),
  dropped_turns: 0,
});

/**
 * Starts the gateway. `asked` gets the requests for completions. The first of them is cut before
 * its answer if `cuts`.
 *
 * @param {{ keys?: boolean, cuts?: boolean }} [how]
 */
export async function start({ keys = false, cuts = false } = {}) {
  /** @type {{ name: string, body: any }[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://local").pathname;
    const json = (/** @type {number} */ status, /** @type {unknown} */ body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (path.startsWith("/v1/")) {
      if (keys && request.headers.authorization !== `Bearer ${KEY}`) {
        return json(401, {
          error: { message: "the API key is missing or wrong", code: "invalid_api_key" },
        });
      }
      if (path === "/v1/chat/completions") {
        let body = "";
        for await (const part of request) body += part;
        asked.push({ name: String(request.headers["idempotency-key"]), body: JSON.parse(body) });
        response.writeHead(200, { "content-type": "text/event-stream" });
        const event = (/** @type {unknown} */ object) =>
          response.write(`data: ${JSON.stringify(object)}\n\n`);
        const progress = { round: 7, block: 70, phase: "revealing", arrived: 1, expected: 4 };
        event({ choices: [{ delta: { role: "assistant", content: "" } }], starling: progress });
        const cut = cuts && asked.length === 1;
        response.write(": round 7\n\n", () => cut && response.destroy());
        if (cut) return;
        event({ choices: [{ delta: { content: HOSTILE } }] });
        event({ choices: [{ delta: {}, finish_reason: "stop" }], starling: details() });
        return response.end("data: [DONE]\n\n");
      }
      const read = READS[path];
      return read
        ? json(200, read())
        : json(404, { error: { message: "there is none", code: "round_not_found" } });
    }
    const name = path.startsWith("/page/") ? path.slice("/page/".length) : "index.html";
    const type = TYPES[/** @type {keyof typeof TYPES} */ (name.split(".").at(-1))];
    response.writeHead(200, { "content-type": type, "content-security-policy": POLICY });
    response.end(await readFile(new URL(`../page/${name}`, import.meta.url)));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
