// SPDX-License-Identifier: Apache-2.0
/** A gateway of the page's tests: the real files, and answers in which every text is hostile. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

/** What the gateway serves its pages with; `swarm.test.js` compares. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

/** The same for the document of the light client. */
export const LIGHT_POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self'; " +
  "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const SMOLDOT = new URL("../node_modules/smoldot/dist/mjs/", import.meta.url);

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

/**
 * The module of a light client that knows one final block, in which each call gives `output`. It
 * shows that the page and the policy let a light client work; `swarm.test.js` has the real one.
 *
 * @param {string} output
 */
export const lightClient = (output) => `
  export const start = () => ({
    addChain: async ({ chainSpec }) => {
      JSON.parse(chainSpec);
      const said = [];
      let wake = () => {};
      const say = (object) => { said.push(JSON.stringify({ jsonrpc: "2.0", ...object })); wake(); };
      const event = (result) => say({ params: { subscription: "of", result } });
      return {
        sendJsonRpc(text) {
          const { id, method, params } = JSON.parse(text);
          const results = {
            chainHead_v1_follow: "of",
            chainHead_v1_header: "0x" + "00".repeat(32) + "e1010000",
            chainHead_v1_call: { result: "started", operationId: "1" },
            system_health: { peers: 1 },
          };
          say({ id, result: results[method] });
          if (method === "chainHead_v1_follow")
            event({ event: "initialized", finalizedBlockHashes: ["0x0a", "0x0b"] });
          if (method === "chainHead_v1_call" && params[2] === "RoundsApi_answer")
            event({ event: "operationCallDone", operationId: "1", output: "${output}" });
        },
        async nextJsonRpcResponse() {
          while (said.length === 0) await new Promise((done) => (wake = done));
          return said.shift();
        },
      };
    },
  });
`;

/** The result of `RoundsApi_answer` for a round that ended with this text. */
export function encoded(/** @type {string} */ text) {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16LE((bytes.length << 2) | 1);
  const parts = [Buffer.from([1, 4, 1]), Buffer.alloc(32, 7), Buffer.from([1]), length, bytes];
  return `0x${Buffer.concat(parts).toString("hex")}`;
}

/** A holder of layers as the node tells of it. */
const holder = (
  /** @type {number} */ index,
  /** @type {[number, number]} */ layers,
  /** @type {string} */ state,
) => ({
  peer: "0123456789abcdef",
  agent: agents[index]?.address,
  name: agents[index]?.name,
  own: index === 0,
  layers,
  state,
  throughput: 300 * (index + 1),
  rtt: index === 1 ? null : 0.0021,
  trust: 1 / (index + 1),
  free_sessions: state === "busy" ? 0 : 4,
  free_positions: 4096,
  heard: index,
  up_kbps: index === 1 ? null : 20_000,
  down_kbps: index === 1 ? null : 100_000,
  availability: index === 1 ? null : 0.9,
});

export const layers = () => ({
  serves: true,
  failovers: 2,
  evidence: 0,
  models: [
    {
      sha256: "ab".repeat(32),
      name: HOSTILE,
      layers: 30,
      holders: [
        holder(0, [0, 15], "free"),
        holder(1, [10, 20], "busy"),
        holder(2, [20, 25], "free"),
        holder(3, [25, 4_000_000_000], "stale"),
      ],
      rtts: [],
    },
    { sha256: "cd".repeat(32), name: null, layers: 4, holders: [], rtts: [] },
  ],
});

/**
 * A case that Alice opened about Bob, who is guilty, and an agent that has left. Its committee has
 * a member of each state.
 *
 * @param {Partial<import("../page/gateway.js").Case>} [more]
 * @returns {import("../page/gateway.js").Case}
 */
export function dispute(more) {
  const [alice, bob, hostile, dave] = agents;
  assert(alice && bob && hostile && dave);
  return {
    case: 3,
    opened: 100,
    phase: "judged",
    due: 144,
    accuser: alice,
    bond: "19000000000000",
    accused: [
      { agent: bob, stake: "10000000000000", verdict: "guilty" },
      { agent: account("Gone"), stake: "0", verdict: "cleared" },
    ],
    model: "ab".repeat(32),
    model_name: HOSTILE,
    layers: [15, 30],
    published: false,
    appealed: false,
    committee: [
      { agent: hostile, state: "revealed", finding: "computed the span again" },
      { agent: dave, state: "committed", finding: "has committed" },
      { agent: account("Erin"), state: "silent", finding: "has said nothing" },
    ],
    ruling: `${bob.name} is guilty, Gone is cleared`,
    ...more,
  };
}

/** @type {Record<string, () => unknown>} */
const READS = {
  "/v1/layers": layers,
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
    pace: {
      rounds: 2,
      phases: ["committing", "revealing", "ranking", "disclosing"].map((phase, index) => ({
        phase,
        half: 1 + index,
        most: index === 3 ? null : 9,
      })),
    },
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
      attested: index === 0 ? { kind: "Tdx", until: 9_000 } : null,
      bond: "100000000000000",
      reserved: "0",
      rating: 0.9 - 0.1 * index,
      weight: 0.4,
      open_rounds: 1,
      tickets: { free: "10000000000000", staked: "0" },
    })),
  }),
  "/v1/disputes": () => ({
    block: 120,
    court: "open",
    data: [
      dispute(),
      dispute({ case: 2, phase: "closed", due: 130, model_name: null }),
      dispute({ case: 1, phase: "drawing", due: 119, committee: [], ruling: null }),
    ],
  }),
  "/v1/disputes/3": () => ({ ...dispute(), block: 120 }),
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
 * its answer if `cuts`. `light` is the text of the light client's module, or true for the real one.
 * `court` has no cases, where it is given.
 *
 * @param {{ keys?: boolean, cuts?: boolean, light?: string | boolean, nodes?: string[],
 *   court?: import("../page/gateway.js").Court }} [how]
 */
export async function start({ keys, cuts, light = false, nodes = [], court } = {}) {
  /** @type {{ name: string, body: any }[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://local").pathname;
    const json = (/** @type {number} */ status, /** @type {unknown} */ body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (path.startsWith("/v1/") || path === "/chain-spec.json") {
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
      if (path === "/chain-spec.json") return json(200, { id: "fake", bootNodes: nodes });
      if (path === "/v1/disputes" && court) return json(200, { block: 120, court, data: [] });
      const read = READS[path];
      return read
        ? json(200, read())
        : json(404, { error: { message: "there is none", code: "round_not_found" } });
    }
    if (path.startsWith("/light-client/")) {
      response.writeHead(light ? 200 : 404, { "content-type": TYPES.js });
      const module = new URL(path.slice("/light-client/".length), SMOLDOT);
      return response.end(light === true ? await readFile(module) : light || "");
    }
    if (path === "/light") {
      const headers = { "content-type": TYPES.html, "content-security-policy": LIGHT_POLICY };
      response.writeHead(200, headers);
      return response.end(await readFile(new URL("../page/light.html", import.meta.url)));
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
