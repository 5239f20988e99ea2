// SPDX-License-Identifier: Apache-2.0
/**
 * Pictures of the pages of a gateway over the running swarm at STARLING_URL: `swarm.test.js` with a
 * folder for them, the argument or `pictures`.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const folder = resolve(process.argv[2] ?? "pictures");
mkdirSync(folder, { recursive: true });
const test = fileURLToPath(new URL("swarm.test.js", import.meta.url));
const { status } = spawnSync(process.execPath, ["--test", test], {
  env: { ...process.env, STARLING_PICTURES: folder },
  stdio: "inherit",
});
process.exit(status ?? 1);
