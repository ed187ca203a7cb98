/**
 * The two models of the playground, for points in the plane: a VAE and a GAN, and their trainers.
 */
import * as ag from "./autograd.js";
import { Random } from "./random.js";

const { constant, variable } = ag;

export const BATCH = 64;
export const NOISE = 0.12; // standard deviation of the VAE's likelihood
const VAE_HIDDEN = [48, 48, 48];
const GAN_HIDDEN = [32, 32, 32];
const PENALTY_POINTS = 32; // the gradient penalty is estimated on half a batch

/**
 * @typedef {object} Settings
 * @property {number} zDim latent dimensions of both models: 1, 2, 4 or 8
 * @property {number} rateVae learning rate of the VAE
 * @property {number} rateGenerator
 * @property {number} rateDiscriminator
 * @property {number} beta weight of the KL term
 * @property {"nonsaturating" | "hinge" | "wasserstein"} loss of the GAN
 * @property {number} penalty weight of the gradient penalty
 * @property {number} discriminatorSteps discriminator updates per generator update
 * @property {number} seed
 */

/** A multilayer perceptron; leaky ReLUs between its layers. */
export class Network {
  /**
   * @param {number[]} widths from input to output
   * @param {Random} rng for He initialisation
   */
  constructor(widths, rng) {
    this.parameters = [];
    for (let i = 0; i + 1 < widths.length; i++) {
      const [rows, cols] = [widths[i], widths[i + 1]];
      // Half of that in the last layer, so that untrained outputs are inside the plot.
      const spread = Math.sqrt(2 / rows) * (i + 2 < widths.length ? 1 : 0.5);
      const weights = rng.normals(rows * cols).map((weight) => spread * weight);
      this.parameters.push(variable(weights, rows, cols));
      // Different biases put the kinks of the first layer at different positions.
      this.parameters.push(variable(rng.normals(cols).map((bias) => 0.3 * bias), 1, cols));
    }
  }

  /** @param {ag.Tensor} x a row for each point */
  forward(x) {
    const { parameters } = this;
    for (let i = 0; i < parameters.length; i += 2) {
      x = ag.add(ag.matmul(x, parameters[i]), parameters[i + 1]);
      if (i + 2 < parameters.length) x = ag.leakyRelu(x);
    }
    return x;
  }
}

/** Adam (Kingma and Ba, 2015), without weight decay. */
export class Adam {
  /**
   * @param {ag.Tensor[]} parameters changed in place
   * @param {number} beta1 decay of the first moment
   * @param {number} beta2 decay of the second moment
   */
  constructor(parameters, beta1 = 0.9, beta2 = 0.999) {
    Object.assign(this, { parameters, beta1, beta2, steps: 0 });
    this.directions = parameters.map(({ data }) => new Float32Array(data.length));
    this.sizes = parameters.map(({ data }) => new Float32Array(data.length));
  }

  /**
   * @param {ag.Tensor} loss
   * @param {number} rate learning rate
   */
  descend(loss, rate) {
    const slopes = ag.gradients(loss, this.parameters);
    const { beta1, beta2 } = this;
    this.steps += 1;
    const scale = (rate * Math.sqrt(1 - beta2 ** this.steps)) / (1 - beta1 ** this.steps);
    this.parameters.forEach(({ data }, n) => {
      const [slope, direction, size] = [slopes[n].data, this.directions[n], this.sizes[n]];
      for (let i = 0; i < data.length; i++) {
        direction[i] = beta1 * direction[i] + (1 - beta1) * slope[i];
        size[i] = beta2 * size[i] + (1 - beta2) * slope[i] * slope[i];
        data[i] -= (scale * direction[i]) / (Math.sqrt(size[i]) + 1e-8);
      }
    });
  }
}

/** Encoder and decoder; the decoder's output is the mean of an isotropic Gaussian. */
export class Vae {
  /**
   * @param {number} zDim
   * @param {number} seed
   */
  constructor(zDim, seed) {
    const rng = new Random(seed);
    this.zDim = zDim;
    this.rng = rng;
    this.encoder = new Network([2, ...VAE_HIDDEN.slice(1), 2 * zDim], rng);
    this.decoder = new Network([zDim, ...VAE_HIDDEN, 2], rng);
    this.adam = new Adam([...this.encoder.parameters, ...this.decoder.parameters]);
    this.steps = 0;
  }

  /**
   * @param {ag.Tensor} x points
   * @returns {{mu: ag.Tensor, logvar: ag.Tensor}} a row for each point
   */
  encode(x) {
    const both = this.encoder.forward(x);
    const { zDim } = this;
    const half = (first) => {
      const select = new Float32Array(2 * zDim * zDim);
      for (let i = 0; i < zDim; i++) select[(first + i) * zDim + i] = 1;
      return ag.matmul(both, new ag.Tensor(select, 2 * zDim, zDim));
    };
    return { mu: half(0), logvar: half(zDim) };
  }

  /**
   * One update. The loss is the negative evidence lower bound (Kingma and Welling, 2014) in nats
   * a point, up to a constant, with the KL term weighted by beta (Higgins et al., 2017).
   * @param {Float32Array} batch x, y, x, y, ...
   * @param {Settings} settings
   * @returns {{loss: number, redraw: number, kl: number}}
   */
  update(batch, { rateVae, beta }) {
    const x = constant(batch, batch.length / 2, 2);
    const { mu, logvar } = this.encode(x);
    const noise = constant(this.rng.normals(mu.data.length), mu.rows, mu.cols);
    const z = ag.add(mu, ag.multiplyEach(ag.exp(ag.scale(logvar, 0.5)), noise));
    const miss = ag.square(ag.subtract(this.decoder.forward(z), x));
    const redraw = ag.scale(ag.mean(miss), 1 / NOISE ** 2); // two coordinates, each halved
    const kl = ag.scale(ag.mean(klEach(mu, logvar)), this.zDim);
    const loss = ag.add(redraw, ag.scale(kl, beta));
    this.adam.descend(loss, rateVae);
    this.steps += 1;
    return { loss: loss.value, redraw: redraw.value, kl: kl.value };
  }
}

/**
 * KL divergence from N(0, 1), in nats, for each number of each row.
 * @param {ag.Tensor} mu
 * @param {ag.Tensor} logvar
 */
export function klEach(mu, logvar) {
  const spread = ag.subtract(ag.add(ag.square(mu), ag.exp(logvar)), logvar);
  return ag.scale(ag.shift(spread, -1), 0.5);
}

/** Generator and discriminator. */
export class Gan {
  /**
   * @param {number} zDim
   * @param {number} seed
   */
  constructor(zDim, seed) {
    const rng = new Random(seed);
    this.zDim = zDim;
    this.rng = rng;
    this.generator = new Network([zDim, ...GAN_HIDDEN, 2], rng);
    this.discriminator = new Network([2, ...GAN_HIDDEN, 1], rng);
    // No momentum: gradients against an earlier opponent are outdated.
    this.adamGenerator = new Adam(this.generator.parameters, 0, 0.99);
    this.adamDiscriminator = new Adam(this.discriminator.parameters, 0, 0.99);
    this.steps = { generator: 0, discriminator: 0 };
  }

  /** @param {number} count of points to draw */
  generate(count) {
    return this.generator.forward(constant(this.rng.normals(count * this.zDim), count, this.zDim));
  }

  /**
   * One update of the discriminator.
   * @param {Float32Array} batch real points, x, y, x, y, ...
   * @param {Settings} settings
   * @returns {number} its loss, without the penalty
   */
  updateDiscriminator(batch, { loss, penalty, rateDiscriminator }) {
    const real = constant(batch, batch.length / 2, 2);
    const fake = ag.untracked(() => this.generate(real.rows));
    const judged = discriminatorLoss(
      loss,
      this.discriminator.forward(real),
      this.discriminator.forward(fake),
    );
    const total = penalty
      ? ag.add(judged, ag.scale(this.#penalty(loss, real, fake), penalty))
      : judged;
    this.adamDiscriminator.descend(total, rateDiscriminator);
    this.steps.discriminator += 1;
    return judged.value;
  }

  /** The gradient penalty: at real points, or for Wasserstein between real and drawn ones. */
  #penalty(loss, real, fake) {
    const count = Math.min(PENALTY_POINTS, real.rows);
    const points = real.data.slice(0, 2 * count);
    if (loss === "wasserstein") {
      for (let i = 0; i < count; i++) {
        const share = this.rng.uniform();
        for (let j = 2 * i; j < 2 * i + 2; j++) {
          points[j] = share * points[j] + (1 - share) * fake.data[j];
        }
      }
    }
    const at = variable(points, count, 2);
    const scores = this.discriminator.forward(at);
    const [slopes] = ag.gradients(ag.sumTo(scores, 1, 1), [at], { again: true });
    return slopePenalty(loss, slopes);
  }

  /**
   * One update of the generator.
   * @param {number} count points in its batch
   * @param {Settings} settings
   * @returns {number} its loss
   */
  updateGenerator(count, { loss, rateGenerator }) {
    const judged = generatorLoss(loss, this.discriminator.forward(this.generate(count)));
    this.adamGenerator.descend(judged, rateGenerator);
    this.steps.generator += 1;
    return judged.value;
  }
}

/**
 * Discriminator loss: non-saturating (Goodfellow et al., 2014), hinge (Lim and Ye,
 * 2017) or Wasserstein (Arjovsky et al., 2017).
 * @param {Settings["loss"]} kind
 * @param {ag.Tensor} real scores of real points
 * @param {ag.Tensor} fake scores of drawn points
 */
export function discriminatorLoss(kind, real, fake) {
  if (kind === "wasserstein") return ag.subtract(ag.mean(fake), ag.mean(real));
  const cost =
    kind === "hinge" ? (x) => ag.leakyRelu(ag.shift(x, 1), 0) : (x) => ag.softplus(x);
  return ag.add(ag.mean(cost(ag.scale(real, -1))), ag.mean(cost(fake)));
}

/**
 * Generator loss.
 * @param {Settings["loss"]} kind
 * @param {ag.Tensor} fake scores of the points that it drew
 */
export function generatorLoss(kind, fake) {
  const wanted = ag.scale(fake, -1);
  return ag.mean(kind === "nonsaturating" ? ag.softplus(wanted) : wanted);
}

/**
 * Gradient penalty: for Wasserstein the gradient's length should be 1 (Gulrajani et al., 2017),
 * else 0 (R1; Mescheder et al., 2018).
 * @param {Settings["loss"]} kind
 * @param {ag.Tensor} slopes a row for each point
 */
export function slopePenalty(kind, slopes) {
  const squared = ag.sumTo(ag.square(slopes), slopes.rows, 1);
  if (kind !== "wasserstein") return ag.scale(ag.mean(squared), 0.5);
  // The epsilon keeps the gradient of the square root finite at 0.
  return ag.mean(ag.square(ag.shift(ag.power(ag.shift(squared, 1e-12), 0.5), -1)));
}
