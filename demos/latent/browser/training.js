/**
 * The playground's training, independent of page and worker: models, data, steps, and views.
 */
import * as ag from "./autograd.js";
import { DISTRIBUTIONS, drawPoints, painted } from "./distributions.js";
import { compare } from "./measures.js";
import { Random } from "./random.js";
import { BATCH, Gan, Vae, klEach } from "./toy-models.js";

export const REACH = 1.2; // pictures show the square from -REACH to REACH
export const HEAT_CELLS = 40; // cells of the discriminator's map, across and down
export const GRID_LINES = 17; // lines of the z grid, each way
const SHOWN = 400; // points in a picture
const ARROWS = 70;
const REDRAWN = 60;
const BEYOND = 1e6; // a loss of this size has diverged
const VIEW_SEED = 20;

/**
 * @typedef {import("./toy-models.js").Settings} Settings
 * @typedef {"vae" | "generator" | "discriminator"} Part
 */

export class Trainer {
  /** @param {Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.distribution = DISTRIBUTIONS.grid3;
    this.restart();
    this.setData("grid3");
  }

  /** New networks from the seed; settings and data stay. */
  restart() {
    const { seed } = this.settings;
    this.dataRng = new Random(seed + 1000);
    this.newVae();
    this.newGan();
  }

  /** A new VAE; the GAN stays. */
  newVae() {
    this.vae = new Vae(this.settings.zDim, this.settings.seed);
    this.losses = { ...this.losses, vae: [] };
    this.last = { ...this.last, vae: null };
    this.#drawViewPoints();
  }

  /** A new GAN; the VAE stays. */
  newGan() {
    this.gan = new Gan(this.settings.zDim, this.settings.seed + 1);
    this.losses = { ...this.losses, generator: [], discriminator: [] };
    this.last = { ...this.last, generator: null, discriminator: null };
    this.#drawViewPoints();
  }

  /** Views have their own random numbers, so that they do not change the training. */
  #drawViewPoints() {
    const { zDim } = this.settings;
    this.z = ag.constant(new Random(VIEW_SEED).normals(SHOWN * zDim), SHOWN, zDim);
  }

  /**
   * New settings; another z size or seed makes new networks.
   * @param {Settings} settings
   * @returns {boolean} whether there are new networks
   */
  configure(settings) {
    const fresh = settings.zDim !== this.settings.zDim || settings.seed !== this.settings.seed;
    this.settings = settings;
    if (fresh) this.restart();
    return fresh;
  }

  /**
   * @param {string} name of DISTRIBUTIONS, or "own"
   * @param {Float32Array} [paint] for "own"
   */
  setData(name, paint) {
    this.distribution = name === "own" ? painted(paint) : DISTRIBUTIONS[name];
    this.real = this.distribution
      ? drawPoints(this.distribution, SHOWN, new Random(VIEW_SEED))
      : new Float32Array(0);
  }

  /** Full steps so far: one of the VAE and one round of the GAN each. */
  get steps() {
    return Math.min(this.vae.steps, this.gan.steps.generator);
  }

  /** One full step: a VAE update, the discriminator's updates, and a generator update. */
  step() {
    this.stepPart("vae");
    for (let i = 0; i < this.settings.discriminatorSteps; i++) this.stepPart("discriminator");
    this.stepPart("generator");
  }

  /**
   * One update of one network.
   * @param {Part} part
   * @throws {Diverged} after it has replaced the network's model by a new one
   */
  stepPart(part) {
    const { settings, distribution, vae, gan } = this;
    const batch = () => drawPoints(distribution, BATCH, this.dataRng);
    if (part === "vae") this.last.vae = vae.update(batch(), settings);
    else if (part === "generator") this.last.generator = gan.updateGenerator(BATCH, settings);
    else this.last.discriminator = gan.updateDiscriminator(batch(), settings);
    const loss = part === "vae" ? this.last.vae.loss : this.last[part];
    // Not ">= BEYOND", which is false for NaN.
    if (Math.abs(loss) < BEYOND) {
      this.losses[part].push(loss);
      return;
    }
    const steps = part === "vae" ? vae.steps : gan.steps[part];
    if (part === "vae") this.newVae();
    else this.newGan();
    throw new Diverged(part, steps);
  }

  /**
   * The data of the page, with the losses since the last view.
   * @param {boolean} whole with the slow parts: the discriminator's map, the encoder, figures
   */
  view(whole) {
    return ag.untracked(() => {
      const { vae, gan, z, losses } = this;
      this.losses = { vae: [], generator: [], discriminator: [] };
      const drawn = { vae: vae.decoder.forward(z).data, gan: gan.generator.forward(z).data };
      const quick = {
        steps: this.steps,
        counts: { vae: vae.steps, ...gan.steps },
        losses,
        last: this.last,
        real: this.real,
        drawn,
        grids: this.#grids(),
        arrows: this.#arrows(drawn.gan),
      };
      if (!whole) return quick;
      const encoded = this.#encoded();
      const score = (points) =>
        gan.discriminator.forward(ag.constant(points, points.length / 2, 2)).data;
      return {
        ...quick,
        heat: this.#heat(),
        encoded,
        scores: { real: score(this.real), drawn: score(drawn.gan) },
        figures: this.#figures(drawn, encoded),
      };
    });
  }

  /** Each model's output for a grid of z: of its first two numbers, with the others at 0. */
  #grids() {
    const { zDim } = this.settings;
    const place = (i) => (5 * i) / (GRID_LINES - 1) - 2.5;
    const count = zDim === 1 ? GRID_LINES ** 2 : GRID_LINES;
    const rows = zDim === 1 ? 1 : GRID_LINES;
    const z = new Float32Array(rows * count * zDim);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < count; j++) {
        const at = (i * count + j) * zDim;
        z[at] = (5 * j) / (count - 1) - 2.5;
        if (zDim > 1) z[at + 1] = place(i);
      }
    }
    const points = new ag.Tensor(z, rows * count, zDim);
    return {
      rows,
      cols: count,
      vae: this.vae.decoder.forward(points).data,
      gan: this.gan.generator.forward(points).data,
    };
  }

  /** The encoder's Gaussians of real points, and reconstructions of the first ones. */
  #encoded() {
    const count = this.real.length / 2;
    const { zDim } = this.settings;
    const { mu, logvar } = this.vae.encode(ag.constant(this.real, count, 2));
    const kl = ag.scale(ag.sumTo(klEach(mu, logvar), 1, zDim), 1 / Math.max(count, 1));
    return {
      mu: mu.data,
      spread: logvar.data.map((value) => Math.exp(value / 2)),
      back: this.vae.decoder.forward(mu).data.slice(0, 2 * REDRAWN),
      kl: kl.data,
      zDim,
    };
  }

  /** The discriminator's score in every cell, from the top. */
  #heat() {
    const points = new Float32Array(2 * HEAT_CELLS ** 2);
    const place = (cell) => REACH * ((2 * cell + 1) / HEAT_CELLS - 1);
    for (let i = 0; i < HEAT_CELLS ** 2; i++) {
      points[2 * i] = place(i % HEAT_CELLS);
      points[2 * i + 1] = -place(Math.floor(i / HEAT_CELLS));
    }
    return this.gan.discriminator.forward(new ag.Tensor(points, HEAT_CELLS ** 2, 2)).data;
  }

  /** The gradient of the discriminator's score at drawn points. */
  #arrows(drawn) {
    const points = ag.variable(drawn.slice(0, 2 * ARROWS), ARROWS, 2);
    const uphill = ag.tracked(() => ag.sumTo(this.gan.discriminator.forward(points), 1, 1));
    return ag.gradients(uphill, [points])[0].data;
  }

  /** How well the points match, and the information in z; null without data. */
  #figures(drawn, { kl }) {
    if (!this.distribution) return null;
    const { heaps } = this.distribution;
    return {
      vae: compare(drawn.vae, this.real, heaps),
      gan: compare(drawn.gan, this.real, heaps),
      kl: kl.reduce((sum, value) => sum + value, 0),
      used: kl.filter((value) => value > 0.05).length,
    };
  }
}

/** A loss that diverged. */
export class Diverged extends Error {
  /**
   * @param {Part} part
   * @param {number} steps of that part until then
   */
  constructor(part, steps) {
    super(`The loss of the ${part} grew beyond all bounds after ${steps} steps.`);
    Object.assign(this, { part, steps });
  }
}
