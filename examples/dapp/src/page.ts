// SPDX-License-Identifier: Apache-2.0
/** Asks from a page. Whatever comes from the chain is written as text, never as HTML. */

import { ask, connect, disconnect, progress, type Round } from "@starling/client";
import { development } from "@starling/client/development";
import { walletAccounts } from "@starling/client/wallets";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const account = element<HTMLSelectElement>("account");
const button = element<HTMLButtonElement>("ask");
const status = element("status");
const bar = element<HTMLProgressElement>("bar");

const accounts = ["Eve", "Ferdie"].map((name) => ({ name, signer: development(name) }));
accounts.push(...(await walletAccounts()));
account.append(...accounts.map(({ name }, index) => new Option(name, String(index))));

element<HTMLFormElement>("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const signer = accounts[Number(account.value)]?.signer;
  if (!signer) return;
  const swarm = connect(element<HTMLInputElement>("url").value);
  const prompt = element<HTMLTextAreaElement>("question").value;
  button.disabled = true;
  bar.hidden = false;
  status.textContent = "Sending the request";
  try {
    await ask(swarm, signer, { prompt }).forEach(({ block, round }) => {
      bar.value = progress(round).share;
      status.textContent = `Round ${round.id}, block ${block}. ${progress(round).text}`;
      show(round);
    });
  } catch (error) {
    status.textContent = `Error: ${error instanceof Error ? error.message : error}`;
  }
  button.disabled = false;
  bar.hidden = true;
  disconnect(swarm);
});

function show({ answer, responses }: Round) {
  element("answer").textContent = answer ?? "";
  const rows = responses.map(({ won, agent, score, state, text }) => {
    const row = document.createElement("tr");
    const cells = [won ? "★" : "", agent, score?.toFixed(3) ?? "–", text ?? `(${state})`];
    for (const cell of cells) row.insertCell().textContent = cell;
    return row;
  });
  element<HTMLTableElement>("candidates").tBodies[0]?.replaceChildren(...rows);
}
