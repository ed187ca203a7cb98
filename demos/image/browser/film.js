/** The film of a drawing: look at any step, as noise, as belief and as numbers. */

const SHELL = `
<div class="film-views">
  <figure><img data-view="noisy" alt=""><figcaption></figcaption></figure>
  <figure><img data-view="clean" alt=""><figcaption></figcaption></figure>
  <figure><img data-view="latents" alt=""><figcaption></figcaption></figure>
</div>
<div class="film-curve" aria-hidden="true"></div>
<label class="film-step"><span></span>
  <input type="range" min="0" max="0" step="1" aria-label="Step"></label>
<div class="film-row">
  <label class="film-which">Picture <select></select></label>
  <button type="button" class="store-button film-play">Play</button>
</div>
<div class="film-strip" role="group" aria-label="All steps: choose one"></div>`;
const REST = 400; // milliseconds at a step before its exact picture is asked for
const SMALL_PLACES = 256; // of latents whose whole film is decoded at once, see show_film.py
const PACE = 280; // milliseconds a step when playing
const EMPTY = "Draw something, and every step of it appears here.";

/** @param {string} text float32 in base64 @returns {Float32Array} */
function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** @returns {string} The address of a picture whose pixels `paint` writes. */
function paintPicture(width, height, paint) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  paint(image.data);
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/**
 * The linear decoder of preview.py: each place of the latents paints a patch of pixels.
 * @param {number[]} shape channels, height and width of the latents
 * @param {number} scale pixels a side of a patch
 * @param {Float32Array} weights (channels + 1, scale, scale, 3)
 * @returns {(latents: Float32Array, number: number) => string} the address of a picture
 */
function createDecoder([channels, height, width], scale, weights) {
  const places = height * width;
  const patch = scale * scale * 3;
  return (latents, number) =>
    paintPicture(width * scale, height * scale, (pixels) => {
      const first = number * channels * places;
      const sums = new Float32Array(patch);
      for (let place = 0; place < places; place += 1) {
        sums.set(weights.subarray(channels * patch));
        for (let channel = 0; channel < channels; channel += 1) {
          const value = latents[first + channel * places + place];
          for (let i = 0; i < patch; i += 1) sums[i] += value * weights[channel * patch + i];
        }
        const top = Math.floor(place / width) * scale;
        const left = (place % width) * scale;
        for (let i = 0; i < patch; i += 1) {
          const pixel = Math.floor(i / 3);
          const y = top + Math.floor(pixel / scale);
          const at = 4 * (y * width * scale + left + (pixel % scale));
          pixels[at + (i % 3)] = 255 * sums[i]; // clamps by itself
          pixels[at + 3] = 255;
        }
      }
    });
}

/** Grey tiles, one for each channel, in about a square: middle grey is 0, white is three. */
function createTiles([channels, height, width]) {
  const columns = Math.ceil(Math.sqrt(channels));
  const rows = Math.ceil(channels / columns);
  return (latents, number) =>
    paintPicture(columns * width, rows * height, (pixels) => {
      for (let i = 0; i < channels * height * width; i += 1) {
        const channel = Math.floor(i / (height * width));
        const y = Math.floor(channel / columns) * height + (Math.floor(i / width) % height);
        const x = (channel % columns) * width + (i % width);
        const at = 4 * (y * columns * width + x);
        const value = latents[number * channels * height * width + i];
        pixels.fill(255 * (value / 6 + 0.5), at, at + 3);
        pixels[at + 3] = 255;
      }
    });
}

/**
 * Build the film in `element`.
 * @param {HTMLElement} element
 * @param {{trigger: Function, watch: Function, props: {value: string}}} component
 */
export function mount(element, { trigger, watch, props }) {
  element.innerHTML = SHELL;
  const find = (selector) => element.querySelector(selector);
  const slider = find("input");
  const which = find("select");
  const strip = find(".film-strip");
  let run = null;
  let frames = [];
  let rest = 0;
  let playing = 0;

  let decode = null;
  let drawTiles = null;
  let smallFilm = false;

  const say = (view, text) => {
    find(`[data-view=${view}]`).nextElementSibling.textContent = text;
  };

  function show(index) {
    const frame = frames[index];
    if (!frame) return;
    slider.value = index;
    const last = frames.length - 1;
    const number = Number(which.value) || 0;
    const share = Math.round(100 * frame.noise);
    for (const view of ["noisy", "clean", "latents"]) {
      const image = find(`[data-view=${view}]`);
      image.src = picture(frame, view, number);
      image.alt = `${view} after ${index} of ${last} steps`;
    }
    const rough = frame.exact ? "" : " (roughly decoded)";
    say("noisy", `What there is: ${share} % noise${rough}`);
    say("clean", index < last ? `What the network believes it will be${rough}` : "The picture");
    say("latents", "The numbers themselves, one tile for each channel");
    const name = index === 0 ? "Pure noise" : index === last ? "Done" : `After step ${index}`;
    find(".film-step span").textContent = `${name} · ${index} of ${last}`;
    slider.setAttribute("aria-valuetext", name);
    for (const button of strip.children)
      button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
    const thumbnail = strip.children[index];
    if (thumbnail) strip.scrollLeft = thumbnail.offsetLeft - strip.offsetLeft - strip.clientWidth / 2;
    drawCurve(index);
    clearTimeout(rest);
    rest = setTimeout(() => askFor(index), REST);
  }

  /** The picture of a frame as an address: exact if it is there, else decoded here. */
  function picture(frame, view, number) {
    if (frame.exact && view !== "latents") return frame.exact[view][number];
    const numbers = frame[view === "clean" ? "clean" : "noisy"];
    return (view === "latents" ? drawTiles : decode)(numbers, number);
  }

  /** Ask for exact pictures, where they are seen: small films come whole. */
  function askFor(index) {
    let missing = frames[index]?.exact ? -1 : index;
    if (missing < 0 && smallFilm) missing = frames.findIndex((frame) => !frame.exact);
    if (missing >= 0 && run && element.offsetParent) trigger("input", { run, frame: missing });
  }

  function drawCurve(index) {
    const last = Math.max(1, frames.length - 1);
    const x = (i) => 5 + (890 * i) / last;
    const y = (noise) => 6 + 48 * (1 - noise);
    const points = frames.map((frame, i) => `${x(i).toFixed(1)},${y(frame.noise).toFixed(1)}`);
    find(".film-curve").innerHTML =
      `<svg viewBox="0 0 900 60"><polyline points="${points.join(" ")}"/>` +
      `<circle cx="${x(index)}" cy="${y(frames[index].noise)}" r="4"/></svg>` +
      "<span>noise left</span>";
  }

  function lay() {
    const number = Number(which.value) || 0;
    strip.replaceChildren(
      ...frames.map((frame, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.index = index;
        button.setAttribute("aria-label", `after ${index} steps`);
        const image = document.createElement("img");
        image.alt = "";
        image.src = picture(frame, "noisy", number);
        button.append(image, String(index));
        return button;
      }),
    );
  }

  function take() {
    const film = props.value ? JSON.parse(props.value) : null;
    element.classList.toggle("film-empty", !film && !frames.length);
    if (!film) {
      if (!frames.length) find(".film-step span").textContent = EMPTY;
      return;
    }
    if (film.exact) {
      if (film.run !== run) return;
      for (const [index, exact] of Object.entries(film.exact)) frames[index].exact = exact;
      const shown = Number(slider.value);
      lay();
      show(shown);
      return;
    }
    stop();
    run = film.run;
    if (film.note) {
      frames = [];
      element.classList.add("film-empty");
      find(".film-step span").textContent = film.note;
      strip.replaceChildren();
      return;
    }
    frames = film.frames.map((frame) => ({
      ...frame,
      noisy: unpack(frame.noisy),
      clean: unpack(frame.clean),
    }));
    element.classList.toggle("film-empty", !frames.length);
    if (!frames.length) return;
    decode = createDecoder(film.shape, film.decoder.scale, unpack(film.decoder.weights));
    drawTiles = createTiles(film.shape);
    smallFilm = film.shape[1] * film.shape[2] <= SMALL_PLACES;
    slider.max = frames.length - 1;
    which.replaceChildren(...film.seeds.map((seed, i) => new Option(`seed ${seed}`, i)));
    find(".film-which").hidden = film.seeds.length < 2;
    lay();
    show(frames.length - 1);
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    find(".film-play").textContent = "Play";
  }

  function play() {
    if (playing) return stop();
    let index = Number(slider.value) >= frames.length - 1 ? 0 : Number(slider.value);
    show(index);
    find(".film-play").textContent = "Pause";
    playing = setInterval(() => {
      index += 1;
      if (index >= frames.length) return stop();
      show(index);
    }, PACE);
  }

  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) askFor(Number(slider.value));
  }).observe(element);
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  which.addEventListener("change", () => {
    lay();
    show(Number(slider.value));
  });
  strip.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    stop();
    show(Number(button.dataset.index));
  });
  find(".film-play").addEventListener("click", play);
  watch("value", take);
  take();
}
