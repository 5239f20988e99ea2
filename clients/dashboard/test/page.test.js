// SPDX-License-Identifier: Apache-2.0
/** The parts of the pages that need no browser. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { learn, lines, standings } from "../page/agents.js";
import { place, thousandths } from "../page/ask.js";
import { floor } from "../page/chart.js";
import { appeal, fate } from "../page/dispute.js";
import { closed, deadline, progress } from "../page/disputes.js";
import { count, money, printable, share, span } from "../page/format.js";
import { scores } from "../page/matrix.js";
import { answer, blockNumber, question, reachable, same } from "../page/proof.js";
import { coverage, health, ranges, rate } from "../page/shards.js";
import { events } from "../page/stream.js";
import { verdict } from "../page/verify.js";
import { dispute, encoded, layers, report } from "./fake.js";

const STAR = { symbol: "STAR", decimals: 12 };
const PAGE = new URL("../page/", import.meta.url);

test("amounts have all their decimals and no more", () => {
  for (const [amount, text] of [
    ["0", "0 STAR"],
    ["1", "0.000000000001 STAR"],
    ["1500000000000", "1.5 STAR"],
    ["340282366920938463463374607431768211455", "340282366920938463463374607.431768211455 STAR"],
    [null, "–"],
    ["<b>", "–"],
  ]) {
    assert.equal(money(amount, STAR), text);
  }
  assert.equal(money("10", { symbol: "UNIT", decimals: 0 }), "10 UNIT");
  assert.equal(share("1", 4n), 0.25);
  assert.equal(share("1", 0n), 0);
});

test("characters that hide or reorder a text are shown, and joiners stay", () => {
  assert.equal(printable("a\u202eb\u0000\u200b"), "a\ufffdb\ufffd\ufffd");
  assert.equal(printable("a\n\tb \u{1f468}\u200d\u{1f469} ä"), "a\n\tb \u{1f468}\u200d\u{1f469} ä");
});

/** @param {string[]} parts */
async function read(parts) {
  const bytes = parts.map((part) => new TextEncoder().encode(part));
  const found = [];
  for await (const data of events(new Blob(bytes).stream())) found.push(data);
  return found;
}

test("events are read whatever the borders of the parts, and comments are left out", async () => {
  const text = ': round 7\n\ndata: {"a":"ü"}\n\ndata: [DONE]\n\n';
  const bytes = new TextEncoder().encode(text);
  for (let border = 0; border <= bytes.length; border += 1) {
    const stream = new ReadableStream({
      start(to) {
        to.enqueue(bytes.slice(0, border));
        to.enqueue(bytes.slice(border));
        to.close();
      },
    });
    const found = [];
    for await (const data of events(stream)) found.push(data);
    assert.deepEqual(found, ['{"a":"ü"}', "[DONE]"]);
  }
  assert.deepEqual(await read(["data: half"]), []);
});

test("the matrix has a row for each ranker, the heaviest first", () => {
  const rows = scores(report(7).candidates);
  assert.deepEqual(
    rows.map(({ weight }) => weight),
    [0.4, 0.3, 0.2, 0.1],
  );
  rows.forEach(({ given }, row) => assert.equal(given.indexOf(null), row));
});

test("ratings of removed rounds stay, and the newest is at the right end", () => {
  const known = new Map();
  const round = (/** @type {number} */ id, /** @type {number} */ rating) =>
    /** @type {any} */ ({ round: id, ratings: [{ agent: "5A", rating }] });
  const agent = /** @type {any} */ ({ agent: "5A", name: "Alice", rating: 0.7 });
  learn(known, [round(2, 0.5), round(1, 0.4)], [agent]);
  learn(known, [round(3, 0.6), round(2, 0.5)], [{ ...agent, rating: 0.8 }]);
  assert.deepEqual(lines(known, [agent]), [
    {
      name: "Alice",
      points: [
        [1, 0.4],
        [2, 0.5],
        [3, 0.6],
        [4, 0.8],
      ],
    },
  ]);
  assert.deepEqual(lines(new Map(), [agent]), []);
});

test("the scale of a chart begins below its least number", () => {
  const of = (/** @type {number[]} */ ...numbers) =>
    floor([{ name: "a", points: numbers.map((y, x) => [x, y]) }]);
  assert.equal(of(0.87, 0.93), 0.8);
  assert.equal(of(1), 0.9);
  assert.equal(of(0), 0);
});

test("each phase is a quarter of the bar", () => {
  const at = (/** @type {string} */ phase, arrived = 0, expected = 4) =>
    thousandths({ phase, arrived, expected });
  assert.deepEqual(
    [at("committing"), at("revealing", 2), at("ranking", 9), at("disclosing", 0, 0), at("done")],
    [0, 375, 750, 750, 1000],
  );
});

test("an answer names its round, or its request of a lane", () => {
  assert.equal(place({ round: 7, lane: null }), "Round 7");
  const lane = { lane: 3, epoch: 12, seq: 5 };
  assert.equal(place({ round: null, lane }), "Lane 3, request 5");
});

test("a light client reaches the nodes that speak WebSocket, and no others", () => {
  const bootNodes = [
    "/ip4/127.0.0.1/tcp/30333/p2p/A",
    "/ip4/127.0.0.1/tcp/30333/ws/p2p/A",
    "/dns/node.example/tcp/443/wss/p2p/B",
    "/dns/node.example/tcp/443/tls/ws/p2p/B",
    "/ip4/127.0.0.1/udp/30333/webrtc-direct/p2p/C",
    7,
  ];
  assert.deepEqual(reachable({ bootNodes }), [
    "/ip4/127.0.0.1/tcp/30333/ws",
    "/dns/node.example/tcp/443/wss",
    "/dns/node.example/tcp/443/tls/ws",
  ]);
  assert.deepEqual(reachable({}), []);
  assert.deepEqual(reachable(null), []);
});

test("the question for an answer is the number of the round in SCALE", () => {
  assert.equal(question("7"), "0x0700000000000000");
  assert.equal(question("18446744073709551615"), "0xffffffffffffffff");
});

test("an answer of the chain is read to its last byte", () => {
  for (const text of ["", "Paris.", "ü".repeat(500), "a\u0000\ufeffb"]) {
    const read = answer(encoded(text));
    assert.equal(read?.phase, "done");
    assert(read.text && same(text, read.text), text);
  }
  assert.equal(answer("0x00"), null);
  assert.deepEqual(answer("0x0102"), { phase: "ranking", text: null });
  assert.deepEqual(answer("0x01050100"), { phase: "failed", text: null });
  assert.deepEqual(answer("0x01040000"), { phase: "done", text: null });
  const whole = encoded("Paris.");
  for (let cut = 2; cut < whole.length; cut += 2) assert.throws(() => answer(whole.slice(0, cut)));
  assert.throws(() => answer(`${whole}00`));
  for (const other of ["", "0x0", "0xzz", "0x0109"]) assert.throws(() => answer(other), other);
});

test("a header has its number behind the hash of its parent", () => {
  const parent = `0x${"11".repeat(32)}`;
  for (const [number, compact] of /** @type {const} */ ([
    [0, "00"],
    [63, "fc"],
    [64, "0101"],
    [16_383, "fdff"],
    [16_384, "02000100"],
    [1 << 30, "0300000040"],
  ])) {
    assert.equal(blockNumber(parent + compact), number);
    assert.equal(blockNumber(`${parent}${compact}ffff`), number);
  }
  assert.throws(() => blockNumber(parent));
});

test("only the very text that was shown is proven", () => {
  const proven = (/** @type {string | Uint8Array | null} */ text, phase = "done") => ({
    block: 9,
    hash: "0xab",
    phase,
    text: typeof text === "string" ? new TextEncoder().encode(text) : text,
  });
  assert.deepEqual(verdict(proven("Paris."), "Paris."), {
    holds: true,
    words: "✓ Proven: the chain has this answer in the final block 9, 0xab.",
  });
  for (const other of ["Paris", "paris.", "Paris. ", "\ufeffParis."])
    assert.equal(verdict(proven(other), "Paris.").holds, false, other);
  assert.equal(verdict(proven(null, "failed"), "Paris.").holds, false);
  // The gateway shows bytes that are no text with marks in their place.
  assert.equal(verdict(proven(Uint8Array.of(65, 255, 66)), "A\ufffdB").holds, true);
});

test("layers are covered by holders that are heard, as far as the model has them", () => {
  const [model, empty] = layers().models;
  assert(model && empty);
  const all = coverage(/** @type {any} */ (model));
  const held = all.map(({ holders }) => holders);
  const spans = /** @type {const} */ ([
    [10, 1],
    [5, 2],
    [10, 1],
    [5, 0],
  ]);
  const expected = spans.flatMap(([times, of]) => Array(times).fill(of));
  assert.deepEqual(held, expected);
  assert.equal(all[0]?.rate, 20);
  assert.equal(all[12]?.rate, 20 + 60);
  const { coverage: words, missing, weakest } = health(/** @type {any} */ (model));
  assert.deepEqual([words, missing, weakest], ["25 of 30 layers", "25–29", null]);
  const whole = { ...model, layers: 25 };
  assert.equal(health(/** @type {any} */ (whole)).weakest, "0–9: 20.0 tokens a second by 1 holder");
  assert.equal(health(/** @type {any} */ (empty)).coverage, "0 of 4 layers");
  assert.equal(health(/** @type {any} */ ({ ...empty, layers: 0 })).weakest, null);
  assert.equal(rate(/** @type {any} */ ({ throughput: 3, layers: [5, 5] })), 0);
  assert.equal(ranges([0, 1, 2, 5, 7, 8]), "0–2, 5, 7–8");
  assert.equal(ranges([]), "");
});

test("the end of a phase is told in blocks", () => {
  const ends = (/** @type {number} */ block, phase = /** @type {any} */ ("revealing")) =>
    deadline({ phase, due: 144 }, block);
  assert.deepEqual(
    [ends(132), ends(143), ends(144), ends(200)],
    ["in 12 blocks (144)", "in 1 block (144)", "now (144)", "now (144)"],
  );
  assert.equal(ends(140, "closed"), "forgotten in 4 blocks (144)");
  assert.deepEqual([count(0, "block"), count(1, "block")], ["0 blocks", "1 block"]);
});

test("the work of a committee is counted, and who has revealed has committed", () => {
  assert.equal(progress(dispute()), "2 of 3 committed, 1 revealed");
  assert.equal(progress(dispute({ committee: [] })), "not drawn");
  assert.deepEqual([span([15, 30]), span([7, 8]), span([5, 5])], ["15–29", "7", "none"]);
});

test("nobody is called slashed before the case is closed", () => {
  const guilty = { agent: { name: "Bob", address: "5B" }, stake: "1", verdict: "guilty" };
  const of = (/** @type {Partial<import("../page/gateway.js").Case>} */ more, accused = guilty) =>
    fate(dispute(more), accused);
  assert.equal(of({ phase: "closed" }), "slashed");
  for (const phase of /** @type {const} */ (["drawing", "committing", "revealing", "judged"])) {
    assert.match(of({ phase }), /unless somebody appeals/);
    assert.match(of({ phase, appealed: true }), /if the appeal rules likewise/);
    for (const verdict of ["cleared", "neither guilty nor cleared", null])
      assert.equal(of({ phase }, /** @type {any} */ ({ ...guilty, verdict })), "locked");
  }
  for (const verdict of ["cleared", null])
    assert.equal(
      of({ phase: "closed" }, /** @type {any} */ ({ ...guilty, verdict })),
      "free again",
    );
});

test("an appeal is possible, running, over or none", () => {
  assert.match(appeal(dispute()) ?? "", /may appeal before block 144/);
  assert.equal(appeal(dispute({ phase: "closed" })), "none");
  assert.match(appeal(dispute({ phase: "closed", appealed: true })) ?? "", /there was one/);
  assert.match(appeal(dispute({ phase: "drawing", appealed: true })) ?? "", /of the first one/);
  assert.equal(appeal(dispute({ phase: "drawing" })), null);
});

test("a chain on which nobody can be accused says so, and why", () => {
  assert.equal(closed("open"), null);
  assert.match(closed("closed") ?? "", /nobody can be accused .* governance/);
  assert.match(closed("none") ?? "", /runtime of this chain has no disputes/);
});

test("an agent is active, chilled or neither, perhaps attested, or has left", () => {
  const agent = (/** @type {string} */ address, more = {}) =>
    /** @type {any} */ ({ agent: address, active: true, chilled: false, attested: null, ...more });
  const standing = standings([
    agent("5A"),
    agent("5B", { active: false }),
    agent("5C", { active: false, chilled: true }),
    agent("5D", { attested: { kind: "Tdx", until: 9 } }),
  ]);
  assert.deepEqual(
    ["5A", "5B", "5C", "5D", "5E"].map((address) => standing({ name: "", address })),
    ["active", "not active", "chilled", "active, attested (TDX)", "no agent any more"],
  );
});

test("no file names another origin, and none has a way from text to HTML", async () => {
  for (const name of await readdir(PAGE)) {
    const text = await readFile(new URL(name, PAGE), "utf8");
    const origins = [...text.matchAll(/https?:\/\/[^\s"'`)]+/g)].map(([found]) => found);
    assert.deepEqual(
      origins.filter((found) => found !== "http://www.w3.org/2000/svg"),
      [],
      name,
    );
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|DOMParser|srcdoc/,
      name,
    );
    if (name.endsWith(".html"))
      assert.doesNotMatch(text, /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)/, name);
  }
});
