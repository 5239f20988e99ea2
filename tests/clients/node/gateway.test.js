// SPDX-License-Identifier: Apache-2.0
/** The official SDKs of OpenAI and of MCP, unmodified but for the address of the gateway. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import OpenAI from "openai";
import { GATEWAY_URL, NODE_URL, PATIENCE, QUESTION, TRIES } from "./swarm.js";

const CLIENT = process.env.STARLING_CLIENT ?? "starling";
const openai = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: "none" });
/** @type {import("openai").OpenAI.ChatCompletionCreateParamsNonStreaming} */
const chat = {
  model: "starling",
  max_tokens: 32,
  messages: [{ role: "user", content: QUESTION }],
};

/**
 * Asks again where the swarm found no answer good enough.
 * @template T
 * @param {() => Promise<T>} ask
 * @returns {Promise<T>}
 */
async function patiently(ask) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === TRIES || !/** @type {any} */ (error).code?.startsWith?.("below_")) throw error;
    }
  }
}

test("OpenAI: models, choices and the round behind them", { timeout: PATIENCE }, async () => {
  const models = await openai.models.list();
  assert(models.data.some(({ id }) => id === "starling"));
  const answer = await patiently(() => openai.chat.completions.create({ ...chat, n: 2 }));
  assert(answer.choices.length >= 1 && answer.choices.length <= 2);
  const { round, candidates } = /** @type {any} */ (answer).starling;
  assert(Number.isInteger(round));
  assert.equal(answer.choices[0]?.message.content, candidates[0].text);
});

test("OpenAI: a stream has progress, then the text", { timeout: PATIENCE }, async () => {
  const text = await patiently(async () => {
    const stream = openai.chat.completions.stream({ ...chat, stream: true });
    let progress = 0;
    let begun = false;
    stream.on("chunk", (chunk) => {
      begun ||= Boolean(chunk.choices[0]?.delta.content);
      if (!begun && "starling" in chunk) progress += 1;
    });
    const whole = await stream.finalContent();
    assert(progress > 0, "no progress");
    return whole;
  });
  assert(text);
});

test("OpenAI: errors have their class, code and parameter, and are not repeated", async () => {
  /** @param {Promise<unknown>} asking */
  const failure = (asking) => asking.then(() => assert.fail("it is not refused"), (error) => error);
  const unknown = await failure(openai.models.retrieve("owl"));
  assert(unknown instanceof OpenAI.NotFoundError);
  assert.equal(unknown.code, "model_not_found");
  const tools = [{ type: /** @type {const} */ ("function"), function: { name: "look" } }];
  const unsupported = await failure(openai.chat.completions.create({ ...chat, tools }));
  assert(unsupported instanceof OpenAI.BadRequestError);
  assert.equal(unsupported.code, "unsupported_parameter");
  assert.equal(unsupported.param, "tools");
});

/** @param {import("@modelcontextprotocol/sdk/shared/transport.js").Transport} transport */
async function speaks(transport) {
  const client = new Client({ name: "test", version: "0" });
  await client.connect(transport);
  try {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), ["ask_swarm", "get_round", "list_agents"]);
    const agents = /** @type {any} */ (await client.callTool({ name: "list_agents" }));
    assert.equal(agents.structuredContent.agents.length, 4);

    let heard = 0;
    const ask = async () =>
      /** @type {any} */ (
        await client.callTool(
          {
            name: "ask_swarm",
            arguments: { question: QUESTION, max_tokens: 32, wait_seconds: 240 },
          },
          undefined,
          { onprogress: () => (heard += 1), timeout: PATIENCE },
        )
      );
    let asked = await ask();
    for (let tries = 1; tries < TRIES && asked.isError; tries += 1) asked = await ask();
    assert(!asked.isError, JSON.stringify(asked));
    assert(heard > 0, "no progress");
    const { round, phase } = asked.structuredContent;
    assert.equal(phase, "done");
    const shown = /** @type {any} */ (
      await client.callTool({ name: "get_round", arguments: { round } })
    );
    assert.deepEqual(
      [shown.structuredContent.round, shown.structuredContent.phase],
      [round, "done"],
    );
  } finally {
    await client.close();
  }
}

test("MCP over HTTP: tools, progress and an answer", { timeout: PATIENCE }, () =>
  speaks(new StreamableHTTPClientTransport(new URL(`${GATEWAY_URL}/mcp`))));

test("MCP over standard input and output", { timeout: PATIENCE }, () =>
  speaks(
    new StdioClientTransport({
      command: CLIENT,
      args: ["--url", NODE_URL, "mcp", "--dev", "ferdie"],
      env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "" },
    }),
  ));
