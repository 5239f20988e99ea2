// SPDX-License-Identifier: Apache-2.0
/** Builds elements. A string becomes text, never HTML. */

import { printable } from "./format.js";

/** @typedef {Node | string | null | undefined | false} Child */
/** @typedef {string | number | boolean | ((event: any) => void)} Value */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {Element} T
 * @param {T} element
 * @param {Record<string, Value>} attributes functions are listeners of the event of their name
 * @param {Child[]} children
 * @returns {T}
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  for (const child of children) {
    if (child || child === "") element.append(child);
  }
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, Value>} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * @param {string} tag
 * @param {Record<string, Value>} [attributes]
 * @param {Child[]} children
 * @returns {Element}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * A text of a stranger. Its direction stays within it, and what would hide in it is shown.
 *
 * @param {string} text
 * @param {string} [more] further classes
 */
export function stranger(text, more = "") {
  return h("span", { class: `stranger ${more}`.trim(), dir: "auto" }, printable(text));
}

/**
 * A table that scrolls by itself where it is too wide, also with the keyboard.
 *
 * @param {string} name
 * @param {Child[]} children
 */
export function table(name, ...children) {
  const attributes = { class: "scroll", role: "region", tabindex: "0", "aria-label": name };
  return h("div", attributes, h("table", {}, ...children));
}

/**
 * A list of names and values.
 *
 * @param {[string, Child][]} pairs
 */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value || value === "");
  const list = given.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  return h("dl", { class: "facts" }, ...list);
}

/**
 * A part of a page that is drawn again only when its value has changed, so that the focus and what
 * is open in it stay.
 *
 * @template T
 * @param {(value: T) => Child[]} draw
 * @param {string} [tag]
 */
export function slot(draw, tag = "div") {
  const node = document.createElement(tag);
  let last = "";
  return {
    node,
    /** @param {T} value */
    set(value) {
      const now = JSON.stringify(value);
      if (now === last) return;
      last = now;
      node.replaceChildren();
      fill(node, {}, draw(value));
    },
  };
}

/**
 * A list whose elements stay while their key is in it.
 *
 * @template T
 * @param {HTMLElement} parent
 * @param {(value: T) => string | number} key
 * @param {() => { node: Element, set: (value: T) => void }} make
 */
export function keyed(parent, key, make) {
  /** @type {Map<string | number, { node: Element, set: (value: T) => void }>} */
  let parts = new Map();
  /** @param {T[]} values */
  return (values) => {
    /** @type {typeof parts} */
    const kept = new Map();
    for (const value of values) {
      const part = parts.get(key(value)) ?? make();
      part.set(value);
      kept.set(key(value), part);
    }
    for (const [known, { node }] of parts) if (!kept.has(known)) node.remove();
    [...kept.values()].forEach(({ node }, index) => {
      const there = parent.children[index] ?? null;
      if (there !== node) parent.insertBefore(node, there);
    });
    parts = kept;
  };
}
