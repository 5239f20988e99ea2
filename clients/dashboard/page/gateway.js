// SPDX-License-Identifier: Apache-2.0
/** Calls the gateway. Every address is one of the page's own origin. */

import { events } from "./stream.js";

/** @typedef {{ name: string, address: string }} Account */
/**
 * @typedef {{ chain: string, block: number, final_block: number, open_rounds: number,
 *   next_round: number, currency: import("./format.js").Currency }} Swarm
 */
/**
 * @typedef {{ round: number, prompt: string, requester: Account, phase: string,
 *   failure: string | null, words: string, thousandths: number, requested_at: number,
 *   since: number, deadline: number, fee: string, winner: Account | null,
 *   answer: string | null, ratings: { agent: string, rating: number }[] }} Listed
 */
/**
 * @typedef {{ by: string, score: number, rating: number | null,
 *   weight: number | null }} Ranking
 */
/**
 * @typedef {{ agent: Account, model: string | null, won: boolean, text: string | null,
 *   state: string, score: number | null, rankings: Ranking[], rating: number | null,
 *   weight: number | null, paid: string | null, slashed: string | null }} Candidate
 */
/**
 * @typedef {{ round: number, prompt: string, requester: Account, phase: string,
 *   failure: string | null, why: string, answer: string | null, candidates: Candidate[],
 *   terms: { fee: string, deposit: string, ticket: string, max_tokens: number,
 *     min_responses: number, max_responses: number },
 *   settlement: Record<string, string> | null,
 *   blocks: { phase: string, block: number }[] }} Report
 */
/**
 * @typedef {{ agent: string, name: string, model: string, active: boolean, chilled: boolean,
 *   attested: { kind: string, until: number } | null, bond: string, reserved: string,
 *   rating: number | null, weight: number | null, open_rounds: number,
 *   tickets: { free: string, staked: string } }} Agent
 */
/**
 * @typedef {{ model: string, fee: string, burnt: string, on_hold: string, sum: string,
 *   spendable: string, max_tokens: number, most_tokens: number }} Cost
 */
/**
 * @typedef {{ peer: string, agent: string, name: string, own: boolean, layers: [number, number],
 *   state: "free" | "busy" | "stale", throughput: number, rtt: number | null, trust: number,
 *   free_sessions: number, free_positions: number, heard: number, up_kbps: number | null,
 *   down_kbps: number | null, availability: number | null }} Holder
 */
/**
 * @typedef {{ sha256: string, name: string | null, layers: number,
 *   holders: Holder[], rtts: (number | null)[][] }} ModelMap
 */
/**
 * @typedef {{ serves: boolean, models: ModelMap[], failovers: number, evidence: number }} Layers
 */
/** @typedef {"open" | "closed" | "none"} Court */
/** @typedef {{ agent: Account, stake: string, verdict: string | null }} Accused */
/**
 * @typedef {{ agent: Account, state: "silent" | "committed" | "revealed",
 *   finding: string }} Executor
 */
/**
 * @typedef {{ case: number, opened: number, due: number, accuser: Account, bond: string,
 *   phase: "drawing" | "committing" | "revealing" | "judged" | "closed", accused: Accused[],
 *   model: string, model_name: string | null, layers: [number, number], published: boolean,
 *   appealed: boolean, committee: Executor[], ruling: string | null }} Case
 */
/** @typedef {{ role: "user" | "assistant", content: string }} Message */

/** A failure that the gateway or the connection reports. */
export class Failed extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {number | null} [round]
   */
  constructor(message, code, round = null) {
    super(message);
    this.code = code;
    this.round = round;
  }
}

/** The code of a failure of the connection. */
export const LOST = "lost";

const KEY = "starling-api-key";

/** The key is gone with the tab. */
export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  /** @param {string} key */
  set: (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY)),
};

/** @param {any} body */
function failure(body) {
  const message = typeof body?.error?.message === "string" ? body.error.message : "no reason";
  const round = body?.starling?.round;
  return new Failed(
    message,
    String(body?.error?.code ?? ""),
    Number.isInteger(round) ? round : null,
  );
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function call(path, init = {}) {
  const headers = new Headers(init.headers);
  const key = apiKey.get();
  if (key) headers.set("authorization", `Bearer ${key}`);
  const response = await fetch(path, { ...init, headers, cache: "no-store" }).catch((error) => {
    if (init.signal?.aborted) throw error;
    throw new Failed("The gateway does not answer.", LOST);
  });
  if (!response.ok) throw failure(await response.json().catch(() => null));
  return response;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
async function read(path, signal) {
  return (await call(path, { signal })).json();
}

/** @type {(signal?: AbortSignal) => Promise<Swarm>} */
export const swarm = (signal) => read("/v1/swarm", signal);

/**
 * @typedef {{ rounds: number, phases: { phase: string, half: number | null,
 *   most: number | null }[] }} Pace
 */

/** @type {(signal?: AbortSignal) => Promise<{ block: number, data: Listed[], pace: Pace }>} */
export const rounds = (signal) => read("/v1/rounds", signal);

/** @type {(id: string, signal?: AbortSignal) => Promise<Report>} */
export const round = (id, signal) => read(`/v1/rounds/${encodeURIComponent(id)}`, signal);

/** @type {(signal?: AbortSignal) => Promise<{ block: number, data: Agent[] }>} */
export const agents = (signal) => read("/v1/agents", signal);

/** @type {(signal?: AbortSignal) => Promise<{ data: { id: string }[] }>} */
export const models = (signal) => read("/v1/models", signal);

/** @type {(model: string, signal?: AbortSignal) => Promise<Cost>} */
export const cost = (model, signal) => read(`/v1/models/${encodeURIComponent(model)}/cost`, signal);

/** @type {(signal?: AbortSignal) => Promise<any>} */
export const chainSpec = (signal) => read("/chain-spec.json", signal);

/** @type {(signal?: AbortSignal) => Promise<Layers>} */
export const layers = (signal) => read("/v1/layers", signal);

/** @type {(signal?: AbortSignal) => Promise<{ block: number, court: Court, data: Case[] }>} */
export const disputes = (signal) => read("/v1/disputes", signal);

/** @type {(id: string, signal?: AbortSignal) => Promise<Case & { block: number }>} */
export const dispute = (id, signal) => read(`/v1/disputes/${encodeURIComponent(id)}`, signal);

/** A name for a request, by which its repeat is known. */
export function requestName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Asks, and gives the chunks of the stream. The same `name` and question again join the first
 * request and pay nothing.
 *
 * @param {{ name: string, model: string, max_tokens: number, messages: Message[] }} question
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<any, void>}
 */
export async function* ask({ name, ...question }, signal) {
  const response = await call("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": name },
    body: JSON.stringify({ ...question, stream: true }),
    signal,
  });
  const lost = new Failed("The connection broke before the answer.", LOST);
  if (!response.body) throw lost;
  const stream = events(response.body);
  for (;;) {
    const { done, value } = await stream.next().catch((error) => {
      throw signal?.aborted ? error : lost;
    });
    // A stream without its last event was cut.
    if (done) throw lost;
    if (value === "[DONE]") return;
    const chunk = JSON.parse(value);
    if (chunk.error) throw failure(chunk);
    yield chunk;
  }
}
