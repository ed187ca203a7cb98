/**
 * The playground: a VAE and a GAN learn points in the plane side by side. This file connects the
 * page's controls, plots and readouts to the worker that trains; playground.html is the page.
 */
import { DISTRIBUTIONS } from "./distributions.js";
import { Painting } from "./painting.js";
import { drawCurves, drawPlane, drawPosterior, drawScores, drawThumb, History } from "./plots.js";
import { FAILURES, GOOD, STOPS } from "./presets.js";
import { NAMES, showFailure, showFigures, showLosses, StepCount } from "./readouts.js";

const SLICE_MS = 32; // of training between two redraws
const FEWEST = 6; // steps between two redraws, if steps are slow
const SLOW_MS = 400; // between two steps in slow motion
const MOST_SEED = 2 ** 32 - 1;
const INVITATION = "Nothing is learned yet: both models draw at random. Press Play.";
const EMPTY =
  "Your painting is empty, so there is nothing to learn. Paint something in the square, " +
  "or choose one of the shapes.";

/**
 * Make the page inside of `element` interactive.
 * @param {HTMLElement} element
 * @returns {Playground}
 */
export function mount(element) {
  return new Playground(element.querySelector(".playground"));
}

class Playground {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.settings = { ...GOOD };
    this.data = "grid3";
    this.playing = false;
    this.isRunPending = false; // whether the worker is training
    this.visible = true;
    this.#forget("vae", "gan");
    this.stepCount = new StepCount(this.#find(".playground-count"));
    this.worker = new Worker(new URL("./playground-worker.js", import.meta.url), {
      type: "module",
    });
    this.worker.addEventListener("message", ({ data }) => this.#receive(data));
    this.worker.addEventListener("error", () => this.#fail());
    this.#bindControls();
    this.#bindShapes();
    this.#watchPage();
    this.#showSettings();
    this.worker.postMessage({ kind: "start", settings: this.settings });
    this.#say(INVITATION);
  }

  #find(selector) {
    return this.root.querySelector(selector);
  }

  #all(selector) {
    return [...this.root.querySelectorAll(selector)];
  }

  // --- Controls ----------------------------------------------------------------------------

  #bindControls() {
    const actions = {
      play: () => (this.playing ? this.#pause("Paused.") : this.#play()),
      restart: () => {
        this.worker.postMessage({ kind: "restart" });
        this.#say(this.playing ? "Started again with fresh networks." : INVITATION);
      },
      good: () => {
        this.#choose({ ...GOOD, seed: this.settings.seed });
        showFailure(this.root, null);
        this.#say("Good settings again. The networks go on from where they are.");
      },
      clear: () => this.painting.clear(),
    };
    for (const button of this.#all("[data-do]")) {
      button.addEventListener("click", actions[button.dataset.do]);
    }
    for (const button of this.#all("[data-step]")) {
      button.addEventListener("click", () => this.#stepOnce(button.dataset.step));
    }
    for (const button of this.#all("[data-failure]")) {
      button.addEventListener("click", () => this.#provoke(button.dataset.failure));
    }
    for (const box of this.#all("[data-show]")) box.addEventListener("change", () => this.#draw());
    for (const field of this.#all("[data-setting]")) this.#bindSetting(field);
  }

  #bindSetting(field) {
    const name = field.dataset.setting;
    const stops = STOPS[name];
    if (stops) Object.assign(field, { min: 0, max: stops.length - 1, step: 1 });
    field.addEventListener(stops ? "input" : "change", () => {
      const value = stops ? stops[field.value] : field.value.trim();
      if (name !== "seed") this.#choose({ ...this.settings, [name]: value });
      else if (/^\d+$/.test(value) && Number(value) <= MOST_SEED) {
        this.#choose({ ...this.settings, seed: Number(value) });
      } else {
        field.value = this.settings.seed;
        this.#say(`The seed must be a whole number from 0 to ${MOST_SEED}.`, true);
      }
    });
  }

  #bindShapes() {
    const titles = Object.entries(DISTRIBUTIONS).map(([name, { title }]) => [name, title]);
    const thumbs = this.#find(".playground-thumbs");
    for (const [name, title] of [...titles, ["own", "Your own"]]) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {
        type: "radio",
        name: "playground-shape",
        value: name,
        checked: name === this.data,
      });
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      label.append(input, canvas, Object.assign(document.createElement("span"), {
        textContent: title,
      }));
      input.addEventListener("change", () => {
        showFailure(this.root, null);
        this.#learn(name);
      });
      thumbs.append(label);
    }
    this.painting = new Painting(this.#find(".playground-paint"), () => {
      this.#learn("own");
      this.#drawThumbs();
    });
    for (const button of this.#all("[data-brush]")) {
      button.addEventListener("click", () => {
        this.painting.ink = Number(button.dataset.brush);
        for (const other of this.#all("[data-brush]")) {
          other.setAttribute("aria-pressed", String(other === button));
        }
      });
    }
  }

  /** Change the data; training continues with the current networks. */
  #learn(name) {
    this.data = name;
    this.worker.postMessage({ kind: "data", name, paint: this.painting.paint });
    this.#find(".playground-pad").hidden = name !== "own";
    this.#find(`[value=${name}]`).checked = true;
    if (name === "own") this.painting.draw();
    if (this.#isEmpty()) this.#pause(EMPTY);
    else if (!this.playing) this.#say("Press Play, and both models will learn this shape.");
  }

  #isEmpty() {
    return this.data === "own" && !this.painting.paint.some(Boolean);
  }

  #choose(settings) {
    this.settings = settings;
    this.worker.postMessage({ kind: "configure", settings });
    this.#showSettings();
  }

  #provoke(name) {
    const failure = FAILURES[name];
    if (!failure.suits(this.data)) this.#learn(failure.data);
    this.#choose({ ...GOOD, seed: this.settings.seed, ...failure.settings });
    showFailure(this.root, name);
    this.worker.postMessage({ kind: "restart" });
    this.#play();
  }

  #play() {
    if (this.#isEmpty()) {
      this.#say(EMPTY, true);
      return;
    }
    this.playing = true;
    this.stepCount.restart();
    this.#find("[data-do=play]").textContent = "Pause";
    this.#say("Training.");
    this.#run();
  }

  #pause(message, serious = false) {
    this.playing = false;
    this.#find("[data-do=play]").textContent = "Play";
    this.#say(message, serious);
  }

  #stepOnce(part) {
    if (this.#isEmpty()) {
      this.#say(EMPTY, true);
      return;
    }
    if (this.playing) this.#pause("Paused for single steps.");
    this.worker.postMessage({ kind: "step", part });
  }

  /** Let the worker train for one slice; its answer starts the next. */
  #run() {
    if (this.isRunPending) return;
    const resting = this.visible ? "training" : "resting";
    this.root.dataset.state = this.playing ? resting : "paused";
    if (this.root.dataset.state !== "training") return;
    this.isRunPending = true;
    const slow = this.#isOn("slow");
    const [fewest, most] = slow ? [1, 1] : [FEWEST, Infinity];
    const ask = () =>
      this.worker.postMessage({ kind: "run", milliseconds: SLICE_MS, fewest, most });
    if (slow) setTimeout(ask, SLOW_MS);
    else ask();
  }

  // --- The worker --------------------------------------------------------------------------

  #receive(answer) {
    if (!this.root.isConnected) {
      this.worker.terminate();
      return;
    }
    if (answer.fresh) this.#forget("vae", "gan");
    if (answer.diverged) this.#explain(answer.diverged);
    for (const part of Object.keys(NAMES)) this.history[part].push(answer.losses[part]);
    this.shown = { ...this.shown, ...answer };
    if (answer.kind === "start") {
      for (const button of this.#all("button")) button.disabled = false;
      this.#showSettings();
    }
    this.#draw();
    if (answer.kind !== "run") return;
    this.isRunPending = false;
    this.#run();
  }

  #forget(...models) {
    this.history ??= {};
    if (models.includes("vae")) this.history.vae = new History();
    if (!models.includes("gan")) return;
    this.history.generator = new History();
    this.history.discriminator = new History();
  }

  #explain({ part, steps }) {
    const model = part === "vae" ? "vae" : "gan";
    this.#forget(model);
    const { rateVae, rateGenerator, rateDiscriminator } = this.settings;
    const [nets, rates] =
      model === "vae"
        ? ["The VAE", `here ${rateVae}`]
        : ["The GAN", `here ${rateGenerator} and ${rateDiscriminator}`];
    const times = steps === 1 ? "1 step" : `${steps.toLocaleString("en")} steps`;
    this.#pause(
      `${nets} blew up: after ${times} the loss of the ${NAMES[part]} was too large to compute ` +
        "with. Steps that are too long overshoot, the next correction is longer still, and the " +
        "numbers grow without end. Its networks are fresh again, your settings are as they " +
        `were. Choose smaller learning rates (${rates}; good ones lie near 0.005) and press ` +
        "Play.",
      true,
    );
  }

  #fail() {
    this.playing = false;
    for (const button of this.#all("button")) button.disabled = true;
    this.#say("The playground has stopped. Reload the page to try again.", true);
  }

  // --- The page ----------------------------------------------------------------------------

  #say(text, serious = false) {
    const message = this.#find(".playground-message");
    message.textContent = text;
    message.toggleAttribute("data-serious", serious);
  }

  #isOn(name) {
    return this.#find(`[data-show=${name}]`).checked;
  }

  #showSettings() {
    for (const field of this.#all("[data-setting]")) {
      const value = this.settings[field.dataset.setting];
      const stops = STOPS[field.dataset.setting];
      field.value = stops ? stops.indexOf(value) : value;
      if (!stops) continue;
      field.setAttribute("aria-valuetext", String(value));
      field.parentElement.querySelector("output").textContent = String(value);
    }
    const good = Object.keys(GOOD).every((name) => {
      return name === "seed" || this.settings[name] === GOOD[name];
    });
    this.#find("[data-do=good]").disabled = good;
  }

  #watchPage() {
    const look = () => {
      this.visible = this.onScreen !== false && !document.hidden;
      this.stepCount.restart(); // the time while hidden does not count
      this.#run();
    };
    document.addEventListener("visibilitychange", look);
    new IntersectionObserver(([entry]) => {
      this.onScreen = entry.isIntersecting;
      look();
    }).observe(this.root);
    const redraw = () => {
      this.#drawThumbs();
      this.painting.draw();
      this.#draw();
    };
    new ResizeObserver(redraw).observe(this.root);
    const theme = new MutationObserver(redraw);
    for (const place of [document.documentElement, document.body]) {
      theme.observe(place, { attributeFilter: ["class"] });
    }
  }

  #drawThumbs() {
    for (const canvas of this.#all(".playground-thumbs canvas")) {
      drawThumb(canvas, canvas.previousElementSibling.value, this.painting.paint);
    }
  }

  /** Redraw once before the next frame, if the tab is visible. */
  #draw() {
    if (this.drawing || !this.shown) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      if (this.root.clientWidth) this.#drawAll();
    });
  }

  #drawAll() {
    const { steps, counts, last, real, drawn, grids, encoded, scores, heat, arrows, figures } =
      this.shown;
    const { rows, cols } = grids;
    const [vae, gan] = this.#all("figure");
    drawPlane(vae.querySelector(".playground-plane"), {
      real,
      drawn: drawn.vae,
      grid: this.#isOn("gridVae") && { points: grids.vae, rows, cols },
      back: this.#isOn("redrawn") && encoded.back,
    });
    drawPlane(gan.querySelector(".playground-plane"), {
      real,
      drawn: drawn.gan,
      grid: this.#isOn("gridGan") && { points: grids.gan, rows, cols },
      heat: this.#isOn("heat") && heat,
      arrows: this.#isOn("arrows") && arrows,
    });
    drawCurves(vae.querySelector(".playground-curve"), [
      { history: this.history.vae, color: "--drawn" },
    ]);
    drawCurves(gan.querySelector(".playground-curve"), [
      { history: this.history.generator, color: "--drawn" },
      { history: this.history.discriminator, color: "--says-real" },
    ]);
    drawPosterior(vae.querySelector(".playground-inset"), encoded);
    drawScores(gan.querySelector(".playground-inset"), scores);
    showFigures(this.root, figures, this.settings.zDim);
    showLosses(this.root, last, this.settings.beta);
    this.stepCount.show(steps, counts, this.playing);
    const { dataset } = this.root;
    dataset.steps = steps;
    dataset.lossVae = last.vae?.loss ?? "";
    dataset.lossGan = last.generator ?? "";
  }
}
