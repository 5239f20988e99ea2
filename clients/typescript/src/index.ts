// SPDX-License-Identifier: Apache-2.0
/** Asks a Starling swarm from Node and from browsers. */

export { type Currency, format } from "./amount.js";
export { Refused } from "./errors.js";
export {
  type Failure,
  isOver,
  PHASES,
  type Phase,
  progress,
  type Response,
  type Round,
} from "./round.js";
export {
  ask,
  connect,
  disconnect,
  follow,
  type Question,
  request,
  type Swarm,
  type Update,
} from "./swarm.js";
