// SPDX-License-Identifier: Apache-2.0
/** Asks a Starling swarm from Node and from browsers. */

export { type Currency, format } from "./amount.js";
export { Refused } from "./errors.js";
export {
  type Failure,
  isOver,
  type Outcome,
  PHASES,
  type Phase,
  progress,
  type Response,
  type Round,
} from "./round.js";
export {
  type Answers,
  ask,
  connect,
  disconnect,
  follow,
  outcome,
  type Question,
  request,
  type Swarm,
  type Update,
} from "./swarm.js";
