/** The playground's texts: match, losses, step counts, and the lesson of a failure. */
import { FAILURES } from "./presets.js";

export const NAMES = { vae: "VAE", generator: "generator", discriminator: "discriminator" };

/**
 * How well the points match, and how much z tells.
 * @param {HTMLElement} root
 * @param {{vae: object, gan: object, kl: number, used: number} | null} figures
 * @param {number} zDim
 */
export function showFigures(root, figures, zDim) {
  const line = (model) => root.querySelector(`figure[data-model=${model}] .playground-figure`);
  line("vae").textContent = figures
    ? `${describeMatch(figures.vae)} ${describeKl(figures, zDim)}`
    : "";
  line("gan").textContent = figures ? describeMatch(figures.gan) : "";
}

/**
 * The losses of the last step.
 * @param {HTMLElement} root
 * @param {object} last
 * @param {number} beta
 */
export function showLosses(root, last, beta) {
  const line = (model) => root.querySelector(`figure[data-model=${model}] .playground-curve + p`);
  line("vae").textContent = last.vae
    ? `Loss ${format(last.vae.loss)} = ${format(last.vae.redraw)} redrawing + ` +
      `${beta} × ${format(last.vae.kl)} KL`
    : "Loss: no step yet";
  const part = (name) => (last[name] === null ? "–" : format(last[name]));
  line("gan").innerHTML =
    `Loss: <b class="drawn">generator ${part("generator")}</b> · ` +
    `<b class="says-real">discriminator ${part("discriminator")}</b>`;
}

/**
 * Explain a failure of FAILURES and mark its model; null removes both.
 * @param {HTMLElement} root
 * @param {string | null} name
 */
export function showFailure(root, name) {
  const failure = FAILURES[name];
  for (const button of root.querySelectorAll("[data-failure]")) {
    button.setAttribute("aria-pressed", String(button.dataset.failure === name));
  }
  for (const figure of root.querySelectorAll("figure")) {
    figure.toggleAttribute("data-failing", figure.dataset.model === failure?.model);
  }
  const lesson = root.querySelector(".playground-lesson");
  lesson.hidden = !failure;
  const lines = failure ? [failure.watch, failure.why, `The cure: ${failure.cure}`] : [];
  lesson.replaceChildren(...lines.map((textContent) => {
    return Object.assign(document.createElement("p"), { textContent });
  }));
}

/** The number of steps, and of steps per second. */
export class StepCount {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    this.restart();
  }

  /** Measure the rate from now on. */
  restart() {
    this.since = 0;
    this.rate = "";
  }

  /**
   * @param {number} steps
   * @param {{vae: number, generator: number, discriminator: number}} counts
   * @param {boolean} playing
   */
  show(steps, counts, playing) {
    const now = performance.now();
    if (!playing) this.rate = "";
    else if (!this.since) Object.assign(this, { since: now, steps });
    else if (now - this.since > 1000) {
      const rate = Math.max(0, (1000 * (steps - this.steps)) / (now - this.since));
      Object.assign(this, { since: now, steps, rate: ` · ${Math.round(rate)} a second` });
    }
    const even = counts.vae === counts.generator && counts.vae === counts.discriminator;
    const parts = Object.entries(NAMES).map(([part, name]) => `${name} ${counts[part]}`);
    this.element.textContent =
      `${steps.toLocaleString("en")} step${steps === 1 ? "" : "s"}${this.rate}` +
      (even ? "" : ` · ${parts.join(", ")}`);
  }
}

/** @param {import("./measures.js").Match} match */
function describeMatch({ near, covered, reached, heaps }) {
  const astray = `${percent(1 - near)} of its points lie`;
  return heaps
    ? `Reaches ${reached} of ${heaps} heaps; ${astray} in none.`
    : `Covers ${percent(covered)} of the shape; ${astray} beside it.`;
}

function describeKl({ kl, used }, zDim) {
  const telling = used
    ? `through ${used} of ${zDim} number${zDim === 1 ? "" : "s"}`
    : "next to nothing";
  return `z tells ${format(kl)} nats, ${telling}.`;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function format(number) {
  return Math.abs(number) >= 100 ? number.toFixed(0) : number.toFixed(2);
}
