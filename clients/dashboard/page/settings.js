// SPDX-License-Identifier: Apache-2.0
/** The page of settings: the API key. */

import { h } from "./elements.js";
import { apiKey, models } from "./gateway.js";
import { tell } from "./poll.js";

/** @type {import("./app.js").Page} */
export function settingsPage(main, room) {
  const key = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false" });
  key.value = apiKey.get();
  const said = h("p", { role: "status", id: "said" });
  /** @param {Event} [event] */
  async function save(event) {
    event?.preventDefault();
    apiKey.set(key.value.trim());
    said.replaceChildren();
    try {
      await models(room.signal);
      said.replaceChildren(
        apiKey.get() ? "The gateway takes this key." : "The gateway takes calls without a key.",
      );
      room.again();
    } catch (error) {
      tell(said, error);
    }
  }
  const forget = () => {
    key.value = "";
    save();
  };
  main.append(
    h("h1", {}, "Settings"),
    h(
      "form",
      { submit: save },
      h("label", {}, "API key", key),
      h(
        "p",
        { class: "quiet small" },
        "It stays in this tab and is gone when the tab closes. It goes to this gateway alone. " +
          "A gateway for one machine needs none.",
      ),
      h(
        "div",
        { class: "row" },
        h("button", { class: "main", id: "save" }, "Save"),
        h("button", { type: "button", id: "forget", click: forget }, "Forget"),
      ),
    ),
    said,
  );
}
