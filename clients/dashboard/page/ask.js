// SPDX-License-Identifier: Apache-2.0
/** The page that asks: the cost first, then the round as it goes, then the answer. */

import { facts, h, slot, stranger } from "./elements.js";
import { decimal, money, short } from "./format.js";
import { ask, cost, Failed, LOST, models, requestName } from "./gateway.js";
import { poll, tell, troubles } from "./poll.js";
import { phases } from "./rounds.js";
import { verification } from "./verify.js";

/** @typedef {import("./gateway.js").Cost} Cost */
/** @typedef {import("./gateway.js").Message} Message */

/** Phases in their order, for the bar. */
const ORDER = ["committing", "revealing", "ranking", "disclosing"];

/**
 * What was said, while the tab is open, and whether an answer is awaited.
 *
 * @type {{ messages: Message[], talk: Element[], asking: boolean }}
 */
const kept = { messages: [], talk: [], asking: false };

/** @param {{ phase: string, arrived: number, expected: number }} progress */
export function thousandths({ phase, arrived, expected }) {
  const place = ORDER.indexOf(phase);
  if (place < 0) return 1000;
  return place * 250 + (expected > 0 ? Math.min(arrived / expected, 1) * 250 : 0);
}

/**
 * The round of an answer, or its request of a lane, which is on no page.
 *
 * @param {any} starling
 */
export function place({ round, lane }) {
  return lane ? `Lane ${Number(lane.lane)}, request ${Number(lane.seq)}` : `Round ${Number(round)}`;
}

/**
 * The answer's other candidates, its cost and its round.
 *
 * @param {any} starling
 * @param {import("./format.js").Currency} currency
 */
function details(starling, currency) {
  const { round, lane, why, cost, candidates, dropped_turns: dropped } = starling;
  const others = (candidates ?? []).map((/** @type {any} */ one) => {
    const score = typeof one.score === "number" ? `, score ${decimal(one.score, 4)}` : "";
    const mark = one.agent === starling.winner ? "★ " : "";
    return h(
      "section",
      {},
      h("p", { class: "small" }, `${mark}${short(one.agent)}${score} `, stranger(one.model ?? "")),
      typeof one.text === "string"
        ? h("blockquote", {}, stranger(one.text))
        : h("p", { class: "quiet" }, "(no valid answer)"),
    );
  });
  return h(
    "details",
    {},
    h("summary", {}, `Why this answer, and ${others.length} candidates`),
    h("p", {}, String(why ?? "")),
    facts([
      ["fee", money(cost?.fee, currency)],
      ["burnt", money(cost?.burnt, currency)],
      ["on hold", money(cost?.on_hold, currency)],
      ["left out", dropped ? `${dropped} old messages that did not fit` : null],
    ]),
    ...others,
    lane
      ? h("p", {}, "The chain gets the payments of this request, and no text of it.")
      : h(
          "p",
          {},
          h(
            "a",
            { href: `/round/${Number(round)}` },
            `Round ${Number(round)} with all scores and payouts`,
          ),
        ),
  );
}

/** @type {import("./app.js").Page} */
export function askPage(main, room) {
  const trouble = troubles();
  const currency = room.currency();
  const talk = h("div", { class: "talk", role: "log", "aria-label": "Conversation" }, ...kept.talk);
  const model = h("select", { id: "model", name: "model" });
  const tokens = h("input", {
    id: "tokens",
    type: "number",
    min: 1,
    value: 64,
    inputmode: "numeric",
  });
  const question = h("textarea", { id: "question", rows: 3, required: true });
  const send = h("button", { class: "main", id: "send", disabled: true }, "Ask");
  const anew = h("button", { type: "button", id: "anew", click: forget }, "New conversation");
  const price = slot((/** @type {Cost} */ one) => {
    const total = BigInt(one.fee) + BigInt(one.burnt);
    return [
      facts([
        [
          "costs",
          `${money(String(total), currency)}: fee ${money(one.fee, currency)}, ` +
            `burnt ${money(one.burnt, currency)}`,
        ],
        ["on hold", `${money(one.on_hold, currency)}, back when the chain removes the round`],
        ["you have", money(one.spendable, currency)],
      ]),
      BigInt(one.spendable) < BigInt(one.sum)
        ? h("p", { class: "bad" }, "The account of this key cannot pay that.")
        : null,
    ];
  });
  price.node.id = "cost";
  const form = h(
    "form",
    { id: "form", submit: submitted },
    h("label", {}, "Model", model),
    h("label", {}, "Longest answer, in tokens", tokens),
    h("label", {}, "Question", question),
    price.node,
    h("div", { class: "row" }, send, anew),
  );
  main.append(
    h("h1", {}, "Ask"),
    h(
      "p",
      { class: "quiet small" },
      "Questions and answers are public for ever. Answers come from models of strangers: " +
        "they are data, and may be wrong.",
    ),
    talk,
    trouble,
    form,
  );
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  model.addEventListener("change", () => refresh().catch((error) => tell(trouble, error)));

  let priced = "";

  async function refresh() {
    const of = model.value;
    const now = await cost(of, room.signal);
    // Another model may have been chosen meanwhile.
    if (of !== model.value) return;
    if (priced !== of) {
      tokens.value = String(now.max_tokens);
      tokens.max = String(now.most_tokens);
      priced = of;
    }
    price.set(now);
    send.disabled = kept.asking;
    anew.disabled = kept.asking;
  }

  poll(5, room.signal, trouble, async () => {
    if (model.length === 0) {
      const { data } = await models(room.signal);
      model.append(...data.map(({ id }) => h("option", { value: id }, id)));
    }
    await refresh();
  });

  function forget() {
    kept.messages = [];
    kept.talk = [];
    talk.replaceChildren();
    question.focus();
  }

  /** @param {Event} event */
  function submitted(event) {
    event.preventDefault();
    const text = question.value.trim();
    if (!text || send.disabled) return;
    const turn = h("section", { class: "card" }, h("h2", {}, "You"), stranger(text));
    const answer = h("section", { class: "card answer" });
    kept.talk.push(turn, answer);
    talk.append(turn, answer);
    question.value = "";
    /** @type {Message[]} */
    const messages = [...kept.messages, { role: "user", content: text }];
    const words = {
      name: requestName(),
      model: model.value,
      max_tokens: Number(tokens.value),
      messages,
    };
    run(words, answer);
  }

  /**
   * @param {Parameters<typeof ask>[0]} words
   * @param {HTMLElement} card
   */
  async function run(words, card) {
    kept.asking = true;
    send.disabled = true;
    anew.disabled = true;
    const status = h("p", { role: "status" }, "Sending the request");
    const bar = h("div", {});
    const said = h("blockquote", { class: "best", hidden: true });
    card.replaceChildren(h("h2", {}, "Swarm"), status, bar, said);
    let text = "";
    try {
      // The round goes on and is paid whether the page is left or not.
      for await (const chunk of ask(words)) {
        const starling = chunk.starling;
        text += chunk.choices?.[0]?.delta?.content ?? "";
        if (text) {
          said.hidden = false;
          said.replaceChildren(stranger(text));
        }
        if (starling?.candidates) {
          bar.remove();
          status.textContent = place(starling);
          if (!starling.lane) card.append(verification(Number(starling.round), text));
          card.append(details(starling, currency));
        } else if (starling) {
          const counts =
            starling.expected > 0 ? `, ${starling.arrived} of ${starling.expected}` : "";
          status.textContent = `${place(starling)}, ${starling.phase}${counts}`;
          // A lane has no phases of a round.
          bar.replaceChildren(...(starling.lane ? [] : [phases(thousandths(starling))]));
        }
      }
      kept.messages = [...words.messages, { role: "assistant", content: text }];
    } catch (error) {
      bar.remove();
      tell(status, error);
      status.className = "bad";
      if (error instanceof Failed && error.round !== null) {
        card.append(h("p", {}, h("a", { href: `/round/${error.round}` }, `Round ${error.round}`)));
      }
      if (error instanceof Failed && error.code === LOST) {
        const again = () => run(words, card);
        card.append(
          h("button", { type: "button", click: again }, "Look again, without paying twice"),
        );
      }
    }
    kept.asking = false;
    await refresh().catch(() => {});
  }
}
