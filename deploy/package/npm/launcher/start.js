#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** Starts the program of its own name from the package for this machine. */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

const NAME = `starling-swarm-${process.platform}-${process.arch}`;

/** @returns {string} */
function program() {
  const called = basename(process.argv[1] ?? "", ".js");
  const name = called === "start" ? "starling" : called;
  try {
    const found = createRequire(import.meta.url).resolve(`${NAME}/package.json`);
    return join(dirname(found), "bin", name);
  } catch {
    console.error(`error: the package ${NAME} is not installed; is there one for this machine?`);
    process.exit(1);
  }
}

const child = spawn(program(), process.argv.slice(2), { stdio: "inherit" });
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  // A terminal sends Ctrl-C to both; the program ends in its own time.
  process.on(signal, () => signal === "SIGINT" || child.kill(signal));
}
child.on("error", (error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
