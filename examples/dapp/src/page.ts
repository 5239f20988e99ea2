// SPDX-License-Identifier: Apache-2.0
/** Asks from a page. Whatever comes from the chain is written as text, never as HTML. */

import { Binary, type PolkadotSigner } from "polkadot-api";
import { connectInjectedExtension, getInjectedExtensions } from "polkadot-api/pjs-signer";
import { getWsProvider } from "polkadot-api/ws";
import { development } from "./signer.js";
import { answer, ask, connect, progress, ranked, type Round, score, type Swarm } from "./swarm.js";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const form = element<HTMLFormElement>("form");
const account = element<HTMLSelectElement>("account");
const button = element<HTMLButtonElement>("ask");
const status = element("status");
const bar = element<HTMLProgressElement>("bar");
const quote = element("answer");
const table = element<HTMLTableElement>("candidates");

const PHASES = ["Committing", "Revealing", "Ranking", "Disclosing"];
const signers: PolkadotSigner[] = [];

function offer(name: string, signer: PolkadotSigner) {
  account.add(new Option(name, String(signers.push(signer) - 1)));
}

offer("Eve (development)", development("Eve"));
offer("Ferdie (development)", development("Ferdie"));
for (const name of getInjectedExtensions()) {
  const extension = await connectInjectedExtension(name);
  for (const { address, name: label, polkadotSigner } of extension.getAccounts()) {
    offer(`${label ?? address} (${name})`, polkadotSigner);
  }
}

const connections = new Map<string, Swarm>();
function swarmAt(url: string): Swarm {
  const known = connections.get(url);
  if (known) return known;
  const swarm = connect(getWsProvider(url));
  connections.set(url, swarm);
  return swarm;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const signer = signers[Number(account.value)];
  if (!signer) return;
  const prompt = element<HTMLTextAreaElement>("question").value;
  const swarm = swarmAt(element<HTMLInputElement>("url").value);
  button.disabled = true;
  bar.hidden = false;
  bar.removeAttribute("value");
  quote.hidden = table.hidden = true;
  status.textContent = "Sending the request";
  ask(swarm, signer, { prompt }).subscribe({
    next: ({ id, block, round }) => {
      const phase = PHASES.indexOf(round.round.phase.type);
      bar.value = phase < 0 ? PHASES.length : phase;
      status.textContent = `Round ${id}, block ${block}. ${progress(round)}`;
      show(round);
    },
    error: (error) => done(error instanceof Error ? error.message : String(error)),
    complete: () => done(),
  });
});

function done(error?: string) {
  button.disabled = false;
  bar.hidden = true;
  if (error) status.textContent = `Error: ${error}`;
}

function show(round: Round) {
  const text = answer(round);
  quote.hidden = text === undefined;
  quote.textContent = text ?? "";
  table.hidden = false;
  table.tBodies[0]?.replaceChildren(
    ...ranked(round).map((response) => {
      const row = document.createElement("tr");
      const cells = [
        response.agent === round.round.winner ? "★" : "",
        response.agent,
        score(response)?.toFixed(3) ?? "–",
        response.text ? Binary.toText(response.text) : response.spoiled ? "(spoiled)" : "(sealed)",
      ];
      for (const cell of cells) row.insertCell().textContent = cell;
      return row;
    }),
  );
}
