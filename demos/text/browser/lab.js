/** The next-token lab: one look of the model, redrawn as the controls move. */

import { CUTS, entropy, shape } from "./distribution.js";
import { count, make, percent, unpack } from "./parts.js";

const BARS = 15;
const CONTROLS = [
  ["temperature", "Temperature", 0.05, "below 1 the likely gets likelier; 0 takes only the first"],
  ["top_k", "Top-k", 1, "keep so many of the likeliest; 0 keeps all"],
  ["top_p", "Top-p", 0.01, "keep the likeliest that together have this probability"],
  ["min_p", "Min-p", 0.01, "drop what has less than this share of the first one's probability"],
];
const PLAIN = { temperature: 1, top_k: 0, top_p: 1, min_p: 0 };

/**
 * Build the lab in `element`.
 * @param {HTMLElement} element
 * @param {{trigger: Function, watch: Function, props: {value: string}}} component
 */
export function mount(element, { trigger, watch, props }) {
  const text = make("p", { class: "lab-text", dir: "auto" });
  const controls = make("div", { class: "lab-controls" });
  const presets = make("div", { class: "lab-buttons" });
  const bars = make("div", { class: "lab-bars", role: "group", "aria-label": "Choose a token" });
  const legend = make(
    "p",
    { class: "lab-legend" },
    make("i"),
    "as the model gives it",
    make("i", { class: "after" }),
    "with the controls",
  );
  const figures = make("dl", { class: "lab-figures" });
  const draw = make("button", { type: "button", class: "lab-main", text: "Draw one" });
  const undo = make("button", { type: "button", class: "store-button", text: "Take back" });
  const note = make("p", { class: "lab-note", "aria-live": "polite" });
  const inputs = {};
  let logits = null;
  let look = null;
  let awaited = 0;

  const values = () =>
    Object.fromEntries(CONTROLS.map(([name]) => [name, Number(inputs[name].value)]));

  /** Ask the server for another look; nothing else is asked meanwhile. */
  function action(name, token = 0) {
    if (awaited || !look) return;
    draw.disabled = undo.disabled = true;
    element.classList.add("lab-waiting");
    awaited = setTimeout(settle, 5000); // after an error, whose message the page shows
    trigger("input", { action: name, token, ...values() });
  }

  function settle() {
    clearTimeout(awaited);
    awaited = 0;
    draw.disabled = false;
    undo.disabled = !look?.made;
    element.classList.remove("lab-waiting");
  }

  function set(chosen) {
    for (const [name] of CONTROLS) inputs[name].value = chosen[name];
    redraw();
  }

  function redraw() {
    if (!look) return;
    const now = values();
    for (const [name] of CONTROLS) inputs[name].nextElementSibling.textContent = now[name];
    const { before, after, cuts, kept, lost } = shape(logits, now);
    const scale = Math.max(before[0], after[0]);
    const rows = [...bars.children].slice(1);
    look.tokens.slice(0, BARS).forEach(([, label], i) => {
      const row = rows[i];
      const cut = CUTS[cuts[i]];
      row.classList.toggle("cut", Boolean(cut));
      row.style.setProperty("--before", before[i] / scale);
      row.style.setProperty("--after", after[i] / scale);
      const fate = cut ? `cut by ${cut}` : percent(after[i]);
      const shown = cut ? [make("span", { class: "lab-by", text: "cut by " }), cut] : [fate];
      row.lastElementChild.replaceChildren(percent(before[i]), " → ", make("b", {}, ...shown));
      row.setAttribute("aria-label", `Take ${label}: ${percent(before[i])}, now ${fate}`);
    });
    const sum = (shares) => shares.subarray(BARS).reduce((total, p) => total + p, 0);
    const others = rows[rows.length - 1];
    others.style.setProperty("--before", Math.min(1, sum(before) / scale));
    others.style.setProperty("--after", Math.min(1, sum(after) / scale));
    others.lastElementChild.replaceChildren(
      percent(sum(before)),
      " → ",
      make("b", { text: percent(sum(after)) }),
    );
    const bits = (shares) => entropy(shares).toFixed(2);
    figures.replaceChildren(
      ...figure("Tokens left", `${count(kept)} of ${count(logits.length)}`),
      ...figure("Probability that the others had", percent(lost)),
      ...figure("Entropy", `${bits(before)} → ${bits(after)} bits`),
    );
  }

  const figure = (name, value) => [
    make("div", {}, make("dt", { text: name }), make("dd", { text: value })),
  ];

  function take() {
    if (!props.value) return;
    look = JSON.parse(props.value);
    const sorted = new Float32Array(unpack(look.logits));
    logits = Float64Array.from(sorted);
    if (!controls.children.length) layControls();
    const tail = look.text.slice(-160);
    text.replaceChildren(
      make("span", { text: tail.length < look.text.length ? `…${tail}` : tail }),
      make("i", { class: "lab-gap", "aria-label": "the next token", text: "?" }),
    );
    bars.replaceChildren(
      make(
        "div",
        { class: "lab-head" },
        make("span", { text: "Next token" }),
        make("span"),
        make("span", { text: "model → controls" }),
      ),
      ...look.tokens.slice(0, BARS).map(([id, label]) =>
        make(
          "button",
          { type: "button", "data-id": id },
          make("span", { class: "lab-token", text: label }),
          make("span", { class: "lab-bar" }),
          make("span", { class: "lab-share" }),
        ),
      ),
      make(
        "div",
        { class: "lab-others" },
        make("span", { text: `${count(logits.length - BARS)} others` }),
        make("span", { class: "lab-bar" }),
        make("span", { class: "lab-share" }),
      ),
    );
    note.textContent = look.note;
    settle();
    redraw();
  }

  function layControls() {
    for (const [name, label, step, why] of CONTROLS) {
      const [min, max] = look.limits[name];
      const input = make("input", { type: "range", min, max, step, "aria-label": label, title: why });
      inputs[name] = input;
      const title = make("span", {}, make("b", { text: label }), ` ${why}`);
      controls.append(make("label", {}, title, input, make("output")));
      input.addEventListener("input", redraw);
    }
    const defaults = {};
    for (const [name] of CONTROLS) defaults[name] = look.limits[name][2];
    for (const [title, chosen] of [
      ["As the model gives it", PLAIN],
      ["Usual settings", defaults],
    ]) {
      const button = make("button", { type: "button", class: "store-button", text: title });
      button.addEventListener("click", () => set(chosen));
      presets.append(button);
    }
    for (const [name] of CONTROLS) inputs[name].value = defaults[name];
  }

  bars.addEventListener("click", (event) => {
    const row = event.target.closest("[data-id]");
    if (row) action("take", Number(row.dataset.id));
  });
  draw.addEventListener("click", () => action("draw"));
  undo.addEventListener("click", () => action("undo"));
  element.replaceChildren(
    text,
    make("div", { class: "lab-buttons" }, draw, undo, note),
    make("div", { class: "lab-state" }, make("div", {}, legend, bars), make("div", {}, controls, presets)),
    figures,
  );
  watch("value", take);
  take();
}
