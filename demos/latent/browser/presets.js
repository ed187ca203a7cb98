/** The playground's settings: slider values, good values, and values that fail on purpose. */

const RATES = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 10];

/** The values of each slider. */
export const STOPS = {
  rateVae: RATES,
  rateGenerator: RATES,
  rateDiscriminator: RATES,
  beta: [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50],
  penalty: [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
  discriminatorSteps: [1, 2, 3, 5],
  zDim: [1, 2, 4, 8],
};

/** @type {import("./toy-models.js").Settings} */
export const GOOD = {
  zDim: 2,
  rateVae: 5e-3,
  rateGenerator: 2e-3,
  rateDiscriminator: 5e-3,
  beta: 1,
  loss: "nonsaturating",
  penalty: 0.1,
  discriminatorSteps: 1,
  seed: 7,
};

/**
 * @typedef {object} Failure
 * @property {string} title
 * @property {Partial<import("./toy-models.js").Settings>} settings differences from GOOD
 * @property {string} data the distribution that shows it, if the chosen one does not
 * @property {(name: string) => boolean} suits whether the chosen distribution shows it
 * @property {"vae" | "gan"} model that fails
 * @property {string} watch
 * @property {string} why
 * @property {string} cure
 */

// Few heaps, far apart: missed heaps and points between them are clearly visible.
const hasFewHeaps = (name) => ["circle", "grid3"].includes(name);

/** @type {Object<string, Failure>} */
export const FAILURES = {
  modes: {
    title: "Mode collapse",
    settings: { rateGenerator: 0.05, penalty: 0 },
    data: "circle",
    suits: hasFewHeaps,
    model: "gan",
    watch: "Count the heaps that the GAN's points reach.",
    why:
      "The generator is only asked to fool the discriminator, never to draw everything. Here it " +
      "learns ten times faster than its judge: all its points run to the one place that looks " +
      "best right now, and when the judge has learned that this place is false, they run on to " +
      "the next.",
    cure:
      "let the discriminator learn as fast as the generator, and keep its slopes gentle with the " +
      "gradient penalty.",
  },
  posterior: {
    title: "Posterior collapse",
    settings: { beta: 50 },
    data: "grid3",
    suits: () => true,
    model: "vae",
    watch: "All points of the VAE fall into one, and its KL goes to 0 nats.",
    why:
      "Training charges the VAE for everything that the encoder tells the decoder in z, and the " +
      "price is fifty times too high here. Saying nothing is cheapest. The decoder is left " +
      "guessing, and its best single guess is the middle of all points, whatever z is.",
    cure: "lower the KL weight β, or start low and raise it slowly.",
  },
  blur: {
    title: "Blur",
    settings: { beta: 10 },
    data: "grid3",
    suits: hasFewHeaps,
    model: "vae",
    watch: "Look how many of the VAE's points lie where no real one is.",
    why:
      "Telling exactly where a point lies costs more here than it is worth, so z says it only " +
      "roughly. The smallest squared error for a rough z is the average of all points that it " +
      "may mean, and that lies between the heaps, where no real point is. In a picture it would " +
      "be a blurred edge.",
    cure:
      "lower the KL weight β. Or look at the GAN: its judge would see at once that a point " +
      "between the heaps is false.",
  },
};
