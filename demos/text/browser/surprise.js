/** A text coloured by how much each token surprised the model; click one to know more. */

import { chooseOne, make, percent } from "./parts.js";

const FULL = 12; // bits at which the colour is full

/**
 * Build the text in `element`.
 * @param {HTMLElement} element
 * @param {{watch: Function, props: {value: string}}} component
 */
export function mount(element, { watch, props }) {
  const strip = make("div", { class: "strip", dir: "auto", "aria-label": "The text, token by token" });
  const detail = make("p", { class: "strip-detail", "aria-live": "polite" });
  let tokens = [];
  let first = 0;

  function show(index) {
    const [, label, bits, expected, chance] = tokens[index];
    const right = label === expected;
    detail.replaceChildren(
      make("b", { text: label }),
      ` ${bits.toFixed(1)} bits: the model gave it ${percent(2 ** -bits)}`,
      right ? ", more than any other token." : " and expected ",
      ...(right ? [] : [make("b", { text: expected }), ` (${percent(chance)}).`]),
    );
  }

  const mark = chooseOne(strip, show);

  function take() {
    if (!props.value) return;
    const data = JSON.parse(props.value);
    tokens = data.tokens;
    strip.replaceChildren(
      ...tokens.map(([text, label, bits]) =>
        make("span", {
          text: text || "·",
          class: text ? "" : "bytes",
          title: `${bits.toFixed(1)} bits`,
          "--share": `${Math.round(Math.min(60, (60 * bits) / FULL))}%`,
        }),
      ),
      ...(data.rest ? [make("i", { text: data.rest })] : []),
    );
    first = tokens.reduce((best, one, i) => (one[2] > tokens[best][2] ? i : best), 0);
    mark(first);
    if (tokens.length) show(first);
  }

  element.replaceChildren(strip, detail);
  watch("value", take);
  take();
}
