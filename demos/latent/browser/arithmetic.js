/** Latent arithmetic: "with one eye" minus "without" plus this one, in pictures. */

import { add, dot, drawNormal } from "./vectors.js";

const MODELS = { vae: "VAE", gan: "GAN" };
const FIRST = "eyes:one eye";
const WITH = 0.75; // share of the direction added to the "with" side, since most critters are "without"

/**
 * @param {HTMLElement} section
 * @param {object} room
 * @param {() => {vae: Float32Array, gan: Float32Array}} room.here  The z of both models now.
 * @param {() => {vae: object, gan: object} | null} room.decoders
 * @param {() => {vae: object, gan: object}} room.directions
 * @param {(attribute: string, value: string, amount: number) => void} room.keep  Moves the pair.
 * @param {Object<string, string>} names  Attribute -> its name on the page.
 * @returns {() => Promise<void>} Draws all again.
 */
export function createArithmetic(section, room, names) {
  section.innerHTML = `
    <h3>Sums with critters</h3>
    <p class="explorer-hint"><span>Any critter's 64 numbers <em>with</em> something, minus the same
      critter's <em>without</em> it: what is left is the way there. Add it to the pair above.
      </span></p>
    <p class="explorer-row">
      <label>With <select aria-label="What to add"></select></label>
      <label class="explorer-inline">how strongly <input type="range" min="0" max="3" step="0.05"
        value="2" aria-label="How strongly to add it"> <b aria-hidden="true">2</b></label>
      <button type="button" class="explorer-small" data-sum="other">Another critter</button>
      <button type="button" class="explorer-small" data-sum="keep">Keep the sum</button>
    </p>
    <div class="explorer-sums"></div>`;
  const select = section.querySelector("select");
  const slider = section.querySelector("input");
  const output = section.querySelector(".explorer-inline b");
  const sums = section.querySelector(".explorer-sums");

  const offer = () => {
    const { vae, gan } = room.directions();
    const before = select.value || FIRST;
    select.replaceChildren(
      ...Object.entries(names).map(([attribute, title]) => {
        const group = document.createElement("optgroup");
        group.label = title;
        const both = Object.keys(vae.attributes[attribute] ?? {}).filter(
          (value) => gan.attributes[attribute]?.[value],
        );
        group.append(...both.map((value) => new Option(value, `${attribute}:${value}`)));
        return group;
      }),
    );
    select.value = before;
    if (!select.value) select.selectedIndex = 0;
  };
  const chosen = () => select.value.split(":");

  const rows = Object.fromEntries(
    Object.entries(MODELS).map(([model, title]) => {
      const row = document.createElement("div");
      row.className = "explorer-sum";
      row.innerHTML = `<b>${title}</b>${["", "−", "=", "+", "="]
        .map((sign, i) => (i ? `<span aria-hidden="true">${sign}</span>` : "") + FIGURE)
        .join("")}`;
      sums.append(row);
      return [model, [...row.querySelectorAll("figure")]];
    }),
  );

  let round = 0;
  let other = null; // z of a random critter
  async function draw() {
    const decoders = room.decoders();
    if (!decoders || !room.directions().vae) return;
    if (!select.options.length) offer();
    const mine = ++round;
    const [attribute, value] = chosen();
    const amount = Number(slider.value);
    output.textContent = amount;
    const name = value === "nothing" ? "a bare head" : value;
    await Promise.all(
      Object.keys(MODELS).map(async (model) => {
        const direction = room.directions()[model].attributes[attribute][value];
        const here = room.here()[model];
        other ??= drawNormal(here.length);
        // A random critter, projected to the average along the direction.
        const share = dot(other, direction) / dot(direction, direction);
        const neutral = add(other, direction, -share);
        const points = [
          add(neutral, direction, WITH * amount),
          add(neutral, direction, (WITH - 1) * amount),
          here,
          add(here, direction, amount),
        ];
        const pictures = await Promise.all(
          points.map((z) => decoders[model].decodeLater(Float32Array.from(z))),
        );
        if (mine !== round) return;
        const [plus, minus, now, then] = pictures;
        const captions = [`with ${name}`, "without", "the difference", "the pair's", "the sum"];
        rows[model].forEach((figure, i) => {
          const picture = [plus, minus, subtract(plus, minus), now, then][i];
          const canvas = figure.querySelector("canvas");
          canvas.getContext("2d").putImageData(picture, 0, 0);
          canvas.setAttribute("aria-label", `${MODELS[model]}: ${captions[i]}`);
          figure.querySelector("figcaption").textContent = captions[i];
        });
      }),
    );
  }

  const ignore = () => {}; // the pair of pictures shows the error
  select.addEventListener("change", () => draw().catch(ignore));
  slider.addEventListener("input", () => draw().catch(ignore));
  section.querySelector("[data-sum=other]").addEventListener("click", () => {
    other = null;
    draw().catch(ignore);
  });
  section.querySelector("[data-sum=keep]").addEventListener("click", () => {
    room.keep(...chosen(), Number(slider.value));
  });
  return Object.assign(() => draw().catch(ignore), { offer });
}

const FIGURE = `<figure><canvas width="64" height="64" role="img"></canvas>
  <figcaption></figcaption></figure>`;

/** One picture minus another; grey is where they are equal. */
function subtract(first, second) {
  const result = new ImageData(first.width, first.height);
  for (let i = 0; i < result.data.length; i++)
    result.data[i] = i % 4 === 3 ? 255 : 128 + (first.data[i] - second.data[i]) / 2;
  return result;
}
