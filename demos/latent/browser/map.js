/** A plane through latent space as a grid of pictures, to click and to zoom. */

import { add, clamp, drawPlane } from "./vectors.js";

const MODELS = { vae: "VAE", gan: "GAN" };
const MOST_STEP = 6; // of a principal direction, as PairRequest allows
const MOST_NUMBER = 12; // of z, as PairRequest allows
const SETTLE = 200; // milliseconds without a move before the map is redrawn
const AT_ONCE = 2; // pending pictures of a decoder in this browser
const MOST_ZOOM = 5; // halvings of the step
const PLANES = {
  random: "two random directions from here",
  principal: "the two strongest directions of each network",
  seeds: "three seeds",
};

/**
 * @typedef {object} Plane
 * @property {(x: number, y: number) => object} at  Changes of the pair's request at a point.
 * @property {number[]} middle  [x, y] of the centre cell before any zoom.
 * @property {number} step  Between cells, before any zoom.
 * @property {(x: number, y: number) => boolean} [ends]  Whether the point is outside.
 * @property {{x: number, y: number, text: string}[]} [names]  Names of cells.
 *
 * @param {HTMLElement} section
 * @param {object} room
 * @param {() => object} room.request  The pair's current request.
 * @param {() => ArrayLike<number>} room.start  Its z before truncation.
 * @param {(change: object) => {vae: Float32Array, gan: Float32Array}} room.locate  The z of both
 *   models with these changes of the request.
 * @param {() => {vae: object, gan: object} | null} room.decoders
 * @param {() => boolean} room.directed  Whether there are principal directions.
 * @param {(change: object, text: string) => void} room.go  Changes the pair's request.
 * @param {(count: number) => Promise<{seeds: number[], z: number[][]}>} room.drawSeeds
 * @param {(error: Error) => void} room.fail
 * @returns {{refresh: (moved?: boolean) => void}} Redraws the map; ``moved``: the pair has another
 *   z, not only another scale.
 */
export function createMap(section, room) {
  const phone = matchMedia("(max-width: 760px)").matches;
  const size = phone ? 7 : 9;
  const middle = (size - 1) / 2;
  section.innerHTML = `
    <h3>A map</h3>
    <p class="explorer-hint"><span>Neighbours on the map are neighbours in latent space. Click a
      critter to go there: it becomes the pair.</span></p>
    <p class="explorer-row">
      <label>Through <select data-map="plane" aria-label="The map's plane"></select></label>
      <label>for <select data-map="models" aria-label="Whose map">
        <option value="vae gan">both</option><option value="vae">the VAE</option>
        <option value="gan">the GAN</option></select></label>
      <button type="button" class="explorer-small" data-map="other">Other directions</button>
      <span class="explorer-zoom">
        <button type="button" class="explorer-small" data-map="in">Zoom in</button>
        <button type="button" class="explorer-small" data-map="out" disabled>Zoom out</button>
      </span>
    </p>
    <div class="explorer-grids"></div>
    <p class="explorer-caption" role="status"></p>`;
  const find = (name) => section.querySelector(`[data-map=${name}]`);
  const caption = section.querySelector("[role=status]");
  const grids = section.querySelector(".explorer-grids");
  if (phone) find("models").value = "vae";

  /** @type {Plane} */
  let plane = null;
  let view = { x: 0, y: 0, zoom: 0 };
  let here = null; // [x, y] of the pair, or null if it is not on the map
  let visible = false;
  let stale = true;
  let round = 0;
  let timer = 0;

  const cells = Object.fromEntries(
    Object.entries(MODELS).map(([model, title]) => {
      const grid = document.createElement("div");
      grid.className = "explorer-grid";
      grid.dataset.model = model;
      grid.role = "group";
      grid.setAttribute("aria-label", `Map of the ${title}: arrow keys move, Enter goes there`);
      grid.style.setProperty("--size", size);
      const buttons = Array.from({ length: size * size }, (_, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.tabIndex = i === Math.floor((size * size) / 2) ? 0 : -1;
        button.innerHTML = '<canvas width="64" height="64" aria-hidden="true"></canvas>';
        return button;
      });
      grid.append(...buttons);
      const figure = document.createElement("figure");
      figure.innerHTML = `<figcaption><canvas data-model="${model}" width="64" height="64"
        aria-hidden="true"></canvas><span><b>${title}</b><br>you are here</span></figcaption>`;
      figure.prepend(grid);
      grids.append(figure);
      return [model, buttons];
    }),
  );

  const step = () => plane.step / 2 ** view.zoom;
  const place = (index) => {
    const [column, row] = [index % size, Math.floor(index / size)];
    return [view.x + (column - middle) * step(), view.y + (middle - row) * step()];
  };
  const nearest = () => {
    if (!here) return -1;
    const column = Math.round((here[0] - view.x) / step() + middle);
    const row = Math.round(middle - (here[1] - view.y) / step());
    const inside = [column, row].every((part) => part >= 0 && part < size);
    return inside ? row * size + column : -1;
  };
  const models = () => find("models").value.split(" ");

  /** Label every cell with its coordinates, and mark that of the pair. */
  function label() {
    const marked = nearest();
    for (const [model, buttons] of Object.entries(cells)) {
      buttons[0].closest("figure").hidden = !models().includes(model);
      buttons.forEach((button, i) => {
        const [x, y] = place(i);
        button.disabled = plane.ends?.(x, y) ?? false;
        const name = plane.names?.find((one) => near(one.x, x) && near(one.y, y));
        button.dataset.name = name?.text ?? "";
        if (i === marked) button.setAttribute("aria-current", "location");
        else button.removeAttribute("aria-current");
        const words = [MODELS[model], name?.text, `across ${format(x)}`, `up ${format(y)}`];
        if (i === marked) words.push("here");
        button.setAttribute("aria-label", words.filter(Boolean).join(", "));
      });
    }
    find("in").disabled = view.zoom >= MOST_ZOOM;
    find("out").disabled = view.zoom <= 0;
  }

  /** Draw every cell, from the centre outwards, until a newer call starts. */
  async function draw() {
    const decoders = room.decoders();
    if (!decoders || !plane || !visible) return;
    stale = false;
    const mine = ++round;
    section.dataset.filled = "";
    label();
    const order = Array.from({ length: size * size }, (_, i) => i).sort(
      (a, b) => distance(a) - distance(b),
    );
    const fill = async (model, left) => {
      for (let index; (index = left.shift()) !== undefined && mine === round; ) {
        const button = cells[model][index];
        if (button.disabled) continue;
        const { [model]: z } = room.locate(plane.at(...place(index)));
        const picture = await decoders[model].decodeLater(z);
        if (mine === round) button.firstChild.getContext("2d").putImageData(picture, 0, 0);
      }
    };
    try {
      await Promise.all(
        models().flatMap((model) => {
          const left = [...order];
          const lanes = decoders[model].atOnce ?? AT_ONCE;
          return Array.from({ length: lanes }, () => fill(model, left));
        }),
      );
      if (mine === round) section.dataset.filled = "yes";
    } catch (error) {
      if (mine === round && decoders === room.decoders()) room.fail(error);
    }
  }
  const distance = (index) =>
    Math.hypot((index % size) - middle, Math.floor(index / size) - middle);

  const planes = {
    random() {
      const start = Array.from(room.start());
      const [across, up] = drawPlane(start.length);
      return {
        at: (x, y) => ({ point: tidy(add(add(start, across, x), up, y)) }),
        middle: [0, 0],
        step: 6 / middle,
        words: "The middle is where the pair was; each step away is the same length.",
        across,
        up,
      };
    },
    principal() {
      return {
        at: (x, y) => ({ principal: [x, y, ...room.request().principal.slice(2)] }),
        middle: [0, 0],
        step: 5 / middle,
        ends: (x, y) => Math.max(Math.abs(x), Math.abs(y)) > MOST_STEP,
        words: "Each network along its own two strongest directions: the same as its sliders.",
      };
    },
    async seeds() {
      const { seeds, z } = await room.drawSeeds(3);
      const [across, up] = [add(z[1], z[0], -1), add(z[2], z[0], -1)];
      const corners = [
        [0, 0],
        [1, 0],
        [0, 1],
      ];
      return {
        at: (x, y) => ({
          point: tidy(add(add(z[0], across, x), up, y)),
        }),
        middle: [0.5, 0.5],
        step: 1 / (size - 3),
        names: corners.map(([x, y], i) => ({ x, y, text: `seed ${seeds[i]}` })),
        words: `Through the seeds ${seeds.join(", ")}, which are framed.`,
      };
    },
  };

  let latest = 0;
  async function choose() {
    const mine = ++latest;
    const kind = find("plane").value;
    find("other").textContent = kind === "seeds" ? "Other seeds" : "Other directions";
    find("other").hidden = kind === "principal";
    try {
      const chosen = await planes[kind]();
      if (mine !== latest) return;
      plane = chosen;
    } catch (error) {
      room.fail(error);
      return;
    }
    const [x, y] = plane.middle;
    view = { x, y, zoom: 0 };
    here = kind === "random" ? [0, 0] : kind === "principal" ? principalNow() : null;
    caption.textContent = plane.words;
    draw();
  }
  const principalNow = () => [0, 1].map((i) => room.request().principal[i] ?? 0);

  function zoom(change) {
    const [x, y] = here && nearest() >= 0 ? here : [view.x, view.y];
    view.zoom = clamp(view.zoom + change, 0, MOST_ZOOM);
    [view.x, view.y] = view.zoom ? [x, y] : plane.middle;
    draw();
  }

  function visit(index) {
    here = place(index);
    const [x, y] = here;
    focus(index);
    room.go(plane.at(x, y), `on the map at ${format(x)}, ${format(y)}`);
    label();
  }

  const focus = (index, model) => {
    for (const buttons of Object.values(cells))
      buttons.forEach((button, i) => (button.tabIndex = i === index ? 0 : -1));
    if (model) cells[model][index].focus();
  };

  for (const [model, buttons] of Object.entries(cells)) {
    buttons[0].parentElement.addEventListener("click", (event) => {
      const index = buttons.indexOf(event.target.closest("button"));
      if (index >= 0) visit(index);
    });
    buttons[0].parentElement.addEventListener("keydown", (event) => {
      const index = buttons.indexOf(event.target.closest("button"));
      const [column, row] = [index % size, Math.floor(index / size)];
      const to = {
        ArrowLeft: [column - 1, row],
        ArrowRight: [column + 1, row],
        ArrowUp: [column, row - 1],
        ArrowDown: [column, row + 1],
        Home: [0, row],
        End: [size - 1, row],
      }[event.key];
      if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1 : -1);
      else if (!to) return;
      event.preventDefault();
      if (!to) return;
      const [x, y] = to.map((part) => clamp(part, 0, size - 1));
      if (!buttons[y * size + x].disabled) focus(y * size + x, model);
    });
  }
  find("plane").addEventListener("change", choose);
  find("other").addEventListener("click", choose);
  find("models").addEventListener("change", draw);
  find("in").addEventListener("click", () => zoom(1));
  find("out").addEventListener("click", () => zoom(-1));

  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    if (!visible) return;
    if (!plane) choose();
    else if (stale) draw();
  }).observe(section);

  const offer = () => {
    const before = find("plane").value || "random";
    const kinds = Object.keys(PLANES).filter((kind) => kind !== "principal" || room.directed());
    find("plane").replaceChildren(...kinds.map((kind) => new Option(PLANES[kind], kind)));
    find("plane").value = kinds.includes(before) ? before : "random";
  };
  offer();

  return {
    offer,
    refresh(moved = false) {
      stale = true;
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!plane) {
          if (visible) choose();
          return;
        }
        const kind = find("plane").value;
        if (kind === "principal") here = principalNow();
        else if (moved && kind === "random") {
          // The same directions from the new z.
          const { across, up } = plane;
          const start = Array.from(room.start());
          plane.at = (x, y) => ({ point: tidy(add(add(start, across, x), up, y)) });
          [view.x, view.y] = here = [0, 0];
        } else if (moved) here = null;
        draw();
      }, SETTLE);
    },
  };
}

/** Round as a recipe does, and clamp to the limits of requests. */
const tidy = (numbers) =>
  numbers.map((value) => clamp(Math.round(value * 1e4) / 1e4, -MOST_NUMBER, MOST_NUMBER));
const format = (value) => String(Math.round(value * 100) / 100).replace("-", "−");
const near = (a, b) => Math.abs(a - b) < 1e-6;
