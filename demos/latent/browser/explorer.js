/** The Explore tab: one z through two networks, redrawn while anything is dragged. */

import { createArithmetic } from "./arithmetic.js";
import { createBars } from "./bars.js";
import { loadDecoder, newest } from "./decoder.js";
import { createMap } from "./map.js";
import { createLine, createRemoteDecoders } from "./server.js";
import { add, length, computeZ } from "./vectors.js";

const MODELS = ["vae", "gan"];
const PRINCIPALS = 6; // sliders
const NAMES = {
  color: "Body colour",
  eyes: "Eyes",
  mouth: "Mouth",
  top: "On its head",
  background: "Background",
  body: "Body shape",
};
const FIRST = {
  color: "red",
  eyes: "one eye",
  mouth: "grin",
  top: "horns",
  background: "black",
  body: "tall",
};

/**
 * Make the page in ``element`` interactive.
 * @param {HTMLElement} element  Has the contents of tabs/explore.html.
 * @param {object} component  Of gr.HTML: ``trigger``, ``watch`` and ``props``; ``props.config`` has
 *   the datasets and the example.
 */
export function mount(element, component) {
  const root = element.querySelector(".explorer");
  const find = (selector) => root.querySelector(selector);
  const field = (name) => find(`[data-field=${name}]`);
  const press = (name, run) => find(`[data-do=${name}]`).addEventListener("click", run);
  const { datasets, example } = component.props.config;
  const ask = createLine(component);

  let drawn = example.z; // z of the seed, before truncation
  let request = {
    dataset: datasets[0].name,
    seed: example.seed,
    truncation: 1,
    point: [],
    attributes: {},
    principal: [],
  };
  let decoders = null; // null until they are loaded
  let directions = {};
  let remote = false;
  let trail = ""; // the visitor's moves, in words

  // ---- Drawing -----------------------------------------------------------------------------

  const start = () => (request.point.length ? request.point : drawn);
  const locate = (change = {}) => computeZ({ ...request, ...change }, drawn, directions);

  const redraw = newest(async () => {
    if (!decoders) return;
    const own = decoders;
    const { vae, gan } = locate();
    try {
      const pictures = await Promise.all([own.vae.decode(vae), own.gan.decode(gan)]);
      MODELS.forEach((model, i) => {
        for (const canvas of root.querySelectorAll(`canvas[data-model=${model}]`))
          canvas.getContext("2d").putImageData(pictures[i], 0, 0);
      });
      root.dataset.updates = Number(root.dataset.updates) + 1;
      say("");
    } catch (error) {
      if (own !== decoders) return; // another dataset was chosen meanwhile
      if (remote) say(error.message);
      else fallBack();
    }
  });

  function say(problem) {
    const line = find(".explorer-failed");
    line.hidden = !problem;
    line.textContent = problem;
  }
  const fail = (error) => say(error.message);

  /**
   * Update the page.
   * @param {boolean} [moved]  Whether the shared z changed, not only its scale.
   * @param {boolean} [onMap]  Whether the new z is on the current map.
   */
  function show(moved = false, onMap = false) {
    const { z, vae, gan } = locate();
    bars(start(), request.truncation);
    const own = !same(vae, z) || !same(gan, z);
    const lengths = own
      ? `length of z: VAE ${length(vae).toFixed(1)}, GAN ${length(gan).toFixed(1)}`
      : `length of z ${length(z).toFixed(1)}`;
    const way = trail || (request.point.length && "changed by hand");
    find(".explorer-exhibit > .explorer-caption").textContent = [
      `Seed ${request.seed}`,
      `truncation ${request.truncation}`,
      lengths,
      way,
      own && "moved",
      !decoders && "the two networks are still waking up",
      remote && "the server draws, since this browser cannot: a little slower",
    ]
      .filter(Boolean)
      .join(" · ");
    const differ = find(".explorer-differ");
    differ.hidden = !own;
    differ.textContent =
      "The two z are no longer the same. In each network another way through the 64 numbers leads " +
      "to what you asked for, so the same slider pushes them along different ways: " +
      `they are ${length(add(vae, gan, -1)).toFixed(1)} apart now.`;
    find("[data-do=as-drawn]").disabled = !request.point.length;
    find("[data-do=back]").disabled = !own;
    redraw();
    if (!onMap) map.refresh(moved);
    sum();
    writeRecipe();
  }

  function change(values, moved = false) {
    request = { ...request, ...values };
    show(moved);
  }

  // ---- Seeds, truncation, the numbers -------------------------------------------------------

  let questions = 0;
  async function drawSeed(seed) {
    const mine = ++questions;
    try {
      const answer = await ask("seeds", { seed });
      if (mine !== questions) return;
      [drawn] = answer.z;
      trail = "";
      field("seed").value = answer.seeds[0];
      say("");
      change({ seed: answer.seeds[0], point: [] }, true);
    } catch (error) {
      if (mine === questions) fail(error);
    }
  }
  press("new", () => drawSeed(-1));
  find(".explorer-seed").addEventListener("submit", (event) => {
    event.preventDefault();
    drawSeed(field("seed").value.trim()); // the server validates it and writes the message
  });
  const bars = createBars(find(".explorer-bars"), drawn.length, (index, value) => {
    const numbers = Array.from(start(), (number) => Math.round(number * 1e4) / 1e4);
    numbers[index] = value;
    trail = "";
    change({ point: numbers }, true);
  });
  press("as-drawn", () => {
    trail = "";
    change({ point: [] }, true);
  });
  field("truncation").addEventListener("input", ({ target }) => {
    target.parentElement.querySelector("b").textContent = target.value;
    change({ truncation: Number(target.value) });
  });

  // ---- Directions ---------------------------------------------------------------------------

  /** @type {Object<string, {select: HTMLSelectElement, slider: HTMLInputElement}>} */
  let attributes = {};
  let principals = [];

  function createSlider(place, title, most, run) {
    const row = document.createElement("label");
    row.className = "explorer-slider";
    row.innerHTML = `<span></span> <b aria-hidden="true">0</b>
      <input type="range" min="${-most}" max="${most}" step="0.05" value="0">`;
    row.firstChild.textContent = title;
    const slider = row.querySelector("input");
    slider.setAttribute("aria-label", title);
    slider.addEventListener("input", run);
    place.append(row);
    return slider;
  }

  /** Offer the directions that both networks have. */
  function offerDirections() {
    const there = Boolean(directions.vae && directions.gan);
    find(".explorer-directions").hidden = !there;
    find(".explorer-undirected").hidden = there;
    find(".explorer-arithmetic").hidden = !there;
    map.offer();
    for (const row of root.querySelectorAll(".explorer-directions .explorer-slider")) row.remove();
    [attributes, principals] = [{}, []];
    if (!there) return;
    for (const [name, title] of Object.entries(NAMES)) {
      const values = Object.keys(directions.vae.attributes[name] ?? {}).filter(
        (value) => directions.gan.attributes[name]?.[value],
      );
      if (!values.length) continue;
      const slider = createSlider(find(".explorer-attributes"), title, 3, readSliders);
      const select = document.createElement("select");
      select.setAttribute("aria-label", `${title}: which`);
      select.append(...values.map((value) => new Option(value)));
      if (values.includes(FIRST[name])) select.value = FIRST[name];
      select.addEventListener("change", () => {
        nameSlider(name);
        if (Number(slider.value)) readSliders();
      });
      slider.parentElement.querySelector("span").append(select);
      attributes[name] = { select, slider };
      nameSlider(name);
    }
    const most = Math.min(PRINCIPALS, directions.vae.principal.length);
    principals = Array.from({ length: most }, (_, i) =>
      createSlider(find(".explorer-principals"), `Principal ${i + 1}`, 6, readSliders),
    );
    sum.offer();
  }
  const nameSlider = (name) => {
    const { select, slider } = attributes[name];
    slider.setAttribute("aria-label", `${NAMES[name]}, ${select.value}`);
  };

  function readSliders() {
    const moves = {};
    for (const [name, { select, slider }] of Object.entries(attributes))
      if (Number(slider.value)) moves[name] = { [select.value]: Number(slider.value) };
    const values = principals.map((slider) => Number(slider.value));
    change({ attributes: moves, principal: values.some(Boolean) ? values : [] });
    tellAmounts();
  }
  function tellAmounts() {
    for (const slider of [...Object.values(attributes).map((row) => row.slider), ...principals])
      slider.parentElement.querySelector("b").textContent = slider.value.replace("-", "−");
  }
  /** Set the sliders to the values of the request. */
  function writeSliders() {
    for (const [name, { select, slider }] of Object.entries(attributes)) {
      const [[value, amount] = []] = Object.entries(request.attributes[name] ?? {});
      if (value) select.value = value;
      slider.value = amount ?? 0;
      nameSlider(name);
    }
    principals.forEach((slider, i) => (slider.value = request.principal[i] ?? 0));
    if (request.principal.some(Boolean)) find(".explorer-principals").open = true;
    tellAmounts();
  }
  press("back", () => {
    change({ attributes: {}, principal: [] });
    writeSliders();
  });

  // ---- The map, sums, and what is inside ------------------------------------------------------

  const map = createMap(find(".explorer-map"), {
    request: () => request,
    start,
    locate,
    decoders: () => decoders,
    directed: () => Boolean(directions.vae && directions.gan),
    go(values, text) {
      request = { ...request, ...values };
      trail = values.point ? text : trail;
      writeSliders();
      show(true, true);
    },
    drawSeeds: (count) => ask("seeds", { count }),
    fail,
  });
  const sum = createArithmetic(
    find(".explorer-arithmetic"),
    {
      here: locate,
      decoders: () => (seen.has(find(".explorer-arithmetic")) ? decoders : null),
      directions: () => directions,
      keep(attribute, value, amount) {
        change({ attributes: { ...request.attributes, [attribute]: { [value]: amount } } });
        writeSliders();
      },
    },
    NAMES,
  );

  const recipe = find(".explorer-recipe");
  let timer = 0;
  function writeRecipe() {
    clearTimeout(timer);
    if (!find(".explorer-inside").open) return;
    timer = setTimeout(async () => {
      const written = request;
      try {
        const answer = await ask("recipe", written);
        if (written === request) recipe.textContent = tellRecipe(answer.recipe);
      } catch (error) {
        fail(error);
      }
    }, 300);
  }
  find(".explorer-inside").addEventListener("toggle", writeRecipe);
  press("copy", async ({ target }) => {
    try {
      await navigator.clipboard.writeText(recipe.textContent);
      target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(recipe); // no permission: select the text for the visitor
      target.textContent = "Marked: copy it now";
    }
  });

  // ---- Loading --------------------------------------------------------------------------------

  const keys = () => datasets.find((one) => one.name === request.dataset);

  async function loadModels() {
    const { name, vae, gan, directions: there } = keys();
    for (const decoder of Object.values(decoders ?? {})) decoder.dispose();
    [decoders, directions, remote] = [null, {}, false];
    const current = () => name === request.dataset;
    const [loaded, found] = await Promise.allSettled([
      Promise.all([vae, gan].map((key) => loadDecoder(key))),
      there ? Promise.all([vae, gan].map(loadDirections)) : [],
    ]);
    if (!current()) {
      for (const decoder of loaded.value ?? []) decoder.dispose();
      return;
    }
    const [ofVae, ofGan] = found.value ?? [];
    directions = ofVae && ofGan ? { vae: ofVae, gan: ofGan } : {};
    offerDirections();
    if (loaded.status === "fulfilled") {
      decoders = { vae: loaded.value[0], gan: loaded.value[1] };
      root.dataset.draws = "browser";
      show();
    } else fallBack();
  }

  /** Decode on the server. */
  function fallBack() {
    for (const decoder of Object.values(decoders ?? {})) decoder.dispose();
    remote = true;
    decoders = createRemoteDecoders(ask, request.dataset);
    root.dataset.draws = "server";
    show();
  }

  field("dataset").append(...datasets.map(({ name }) => new Option(name)));
  find(".explorer-dataset").hidden = datasets.length < 2;
  field("dataset").addEventListener("change", ({ target }) => {
    request = { ...request, dataset: target.value, attributes: {}, principal: [] };
    loadModels();
  });

  // Models are downloaded only when the tab is first visible.
  const seen = new Set();
  let begun = false;
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) seen.add(target);
      else seen.delete(target);
      if (isIntersecting && target !== root) sum();
    }
    if (seen.has(root) && !begun) {
      begun = true;
      loadModels();
    }
  });
  observer.observe(root);
  observer.observe(find(".explorer-arithmetic"));
  bars(drawn, 1);
}

const same = (a, b) => a.every((value, i) => value === b[i]);

/** @returns {Promise<import("./vectors.js").Directions>} */
async function loadDirections(key) {
  const answer = await fetch(new URL(`weights/${key}/directions.json`, document.baseURI));
  if (!answer.ok) throw new Error(`The directions of ${key} are missing.`);
  return answer.json();
}

/** JSON with each list of numbers on one line. */
const tellRecipe = (recipe) =>
  JSON.stringify(recipe, null, 2).replace(/\[[^\]{}"]*\]/g, (list) => list.replace(/\s+/g, " "));
