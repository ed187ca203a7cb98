/** Inside a language model: a text as tokens, where each head looks, what each layer would say. */

import { chooseOne, count, make, percent, unpack } from "./parts.js";

const LOOKS = 3; // tokens named beside a head

/**
 * Build the view in `element`.
 * @param {HTMLElement} element
 * @param {{watch: Function, props: {value: string}}} component
 */
export function mount(element, { watch, props }) {
  const pieces = make("div", { class: "inside-pieces", "aria-label": "Tokens: choose one" });
  const about = make("p", { class: "inside-about", "aria-live": "polite" });
  const slider = make("input", { type: "range", min: 1, max: 1, step: 1, "aria-label": "Layer" });
  const layerName = make("output");
  const heads = make("div", { class: "inside-heads" });
  const lens = make("table", { class: "inside-lens" });
  let data = null;
  let attention = null; // uint8, (layers, heads, T * (T + 1) / 2): row after row, up to itself
  let chosen = 0;

  const label = (index) => data.pieces[index][1];

  /** How much a head looks at every token up to the chosen one, in 255ths. */
  function row(layer, head) {
    const triangle = (data.pieces.length * (data.pieces.length + 1)) / 2;
    const start = (layer * data.heads + head) * triangle + (chosen * (chosen + 1)) / 2;
    return attention.subarray(start, start + chosen + 1);
  }

  function showHeads() {
    const layer = Number(slider.value) - 1;
    layerName.textContent = `${layer + 1} of ${data.layers}`;
    const rows = Array.from({ length: data.heads }, (_, head) => row(layer, head));
    const mean = rows[0].length
      ? Array.from(rows[0], (_, i) => rows.reduce((sum, one) => sum + one[i], 0) / rows.length)
      : [];
    heads.replaceChildren(
      headRow("All heads, mean", mean),
      ...rows.map((one, head) => headRow(`Head ${head + 1}`, Array.from(one))),
    );
  }

  function headRow(name, shares) {
    const most = shares
      .map((share, i) => [share / 255, i])
      .sort((a, b) => b[0] - a[0])
      .slice(0, LOOKS)
      .filter(([share]) => share >= 0.05)
      .map(([share, i]) => make("span", {}, make("code", { text: label(i) }), ` ${percent(share)}`));
    const tokens = data.pieces.map(([text], i) =>
      make("span", {
        text: text || "·",
        class: `${i === chosen ? "own" : i > chosen ? "later" : ""}${text ? "" : " bytes"}`,
        title: i > chosen ? "comes later: it cannot be seen" : percent(shares[i] / 255),
        "--share": `${i > chosen ? 0 : Math.round((60 * shares[i]) / 255)}%`,
      }),
    );
    return make(
      "figure",
      {},
      make("figcaption", {}, make("b", { text: name }), ...most),
      make("div", { class: "strip" }, ...tokens),
    );
  }

  function showLens() {
    const top = data.lens[0][chosen].length;
    const said = data.lens[data.layers][chosen][0][0];
    const next = chosen + 1 < data.pieces.length ? label(chosen + 1) : null;
    const rows = data.lens.map((positions, layer) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", text: layer ? `after layer ${layer}` : "before layer 1" }),
        ...positions[chosen].map(([id, share]) =>
          make(
            "td",
            { class: id === said ? "said" : "", "--share": `${Math.round(share * 45)}%` },
            make("span", { text: data.labels[id] }),
            make("i", { text: percent(share) }),
          ),
        ),
      ),
    );
    rows.reverse();
    const names = Array.from({ length: top }, (_, i) =>
      make("th", { scope: "col", text: `${i + 1}.` }),
    );
    lens.replaceChildren(
      make("thead", {}, make("tr", {}, make("th", { text: "Layer", scope: "col" }), ...names)),
      make("tbody", {}, ...rows),
    );
    const follows = next === null ? "It is the last one." : `In the text ${next} follows.`;
    about.replaceChildren(
      "Chosen: ",
      make("b", { text: label(chosen) }),
      `, token ${chosen + 1} of ${count(data.total)}, number ${count(data.pieces[chosen][2])} ` +
        `in the vocabulary. ${follows}`,
    );
  }

  function choose(index) {
    chosen = index;
    showHeads();
    showLens();
  }

  const mark = chooseOne(pieces, choose);

  function take() {
    if (!props.value) return;
    data = JSON.parse(props.value);
    attention = new Uint8Array(unpack(data.attention));
    pieces.replaceChildren(
      ...data.pieces.map(([text, name, id], i) =>
        make(
          "span",
          {
            class: `tint-${i % 4}${text ? "" : " bytes"}`,
            title: text ? "" : "belongs to the character before it",
          },
          make("b", { text: name }),
          make("small", { text: id }),
        ),
      ),
    );
    const layer = slider.max === String(data.layers) ? slider.value : data.layers;
    slider.max = data.layers;
    slider.value = layer;
    chosen = data.pieces.length - 1;
    mark(chosen);
    choose(chosen);
  }

  const section = (title, text, ...parts) =>
    make("section", {}, make("h3", { text: title }), make("p", { text }), ...parts);
  slider.addEventListener("input", () => data && showHeads());
  element.replaceChildren(
    section(
      "Tokens",
      "What the model gets is not letters but numbers, one for each piece. Choose a piece, with a " +
        "click or the arrow keys: all below is about that place.",
      pieces,
      about,
    ),
    section(
      "Where each head looks",
      "To go on from the chosen token, every head of every layer looks back and takes something " +
        "from what stands there: the stronger the colour, the more. What comes later it cannot see. " +
        "Heads that find nothing of use tend to rest on the first token.",
      make("label", { class: "inside-layer" }, "Layer ", slider, layerName),
      heads,
    ),
    section(
      "What each layer would have said",
      "The model's answer grows from layer to layer. Read from the bottom: what would come next " +
        "if it stopped there? This is the logit lens (nostalgebraist, 2020). Coloured: how sure; " +
        "framed: what it says in the end.",
      make("div", { class: "inside-scroll" }, lens),
    ),
  );
  watch("value", take);
  take();
}
