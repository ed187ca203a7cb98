/** The playground's plots on canvases: planes, curves, and two small insets. */
import { DISTRIBUTIONS, drawPoints } from "./distributions.js";
import { Random } from "./random.js";
import { GRID_LINES, HEAT_CELLS, REACH } from "./training.js";

const CURVE_POINTS = 400;

/**
 * Clear a canvas, match the screen's resolution, and read colours from the page.
 * @param {HTMLCanvasElement} canvas
 */
function prepare(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(name).trim();
  return { context, width, height, color };
}

/**
 * The square that both models draw points in.
 * @param {HTMLCanvasElement} canvas
 * @param {object} layers
 * @param {Float32Array} layers.real
 * @param {Float32Array} layers.drawn
 * @param {{points: Float32Array, rows: number, cols: number}} [layers.grid]
 * @param {Float32Array} [layers.back] reconstructions of the first real points
 * @param {Float32Array} [layers.heat]
 * @param {Float32Array} [layers.arrows]
 */
export function drawPlane(canvas, { real, drawn, grid, back, heat, arrows }) {
  const { context, width, color } = prepare(canvas);
  const x = (value) => ((value / REACH + 1) * width) / 2;
  const y = (value) => ((1 - value / REACH) * width) / 2;
  const small = width < 240 ? 0.7 : 1;
  if (heat) drawHeat(context, heat, width, color);
  dots(context, real, x, y, 1.7 * small, color("--real"), 0.55);
  if (grid) drawGrid(context, grid, x, y, color("--drawn"));
  if (arrows) drawArrows(context, drawn, arrows, x, y, width, color("--body-text-color"));
  dots(context, drawn, x, y, 2.1 * small, color("--drawn"), 0.85);
  if (!back) return;
  context.strokeStyle = color("--body-text-color");
  context.globalAlpha = 0.7;
  context.lineWidth = 1.2;
  context.beginPath();
  for (let i = 0; i < back.length; i += 2) {
    context.moveTo(x(real[i]), y(real[i + 1]));
    context.lineTo(x(back[i]), y(back[i + 1]));
  }
  context.stroke();
  dots(context, back, x, y, 2.4 * small, color("--body-text-color"), 1);
}

function dots(context, points, x, y, radius, color, alpha) {
  context.fillStyle = color;
  context.globalAlpha = alpha;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const [left, top] = [x(points[i]), y(points[i + 1])];
    context.moveTo(left + radius, top);
    context.arc(left, top, radius, 0, 2 * Math.PI);
  }
  context.fill();
  context.globalAlpha = 1;
}

function drawGrid(context, { points, rows, cols }, x, y, color) {
  context.strokeStyle = color;
  context.globalAlpha = 0.45;
  context.lineWidth = rows === 1 ? 1.5 : 0.8;
  context.beginPath();
  const line = (first, step, count) => {
    for (let i = 0; i < count; i++) {
      const at = 2 * (first + i * step);
      if (i) context.lineTo(x(points[at]), y(points[at + 1]));
      else context.moveTo(x(points[at]), y(points[at + 1]));
    }
  };
  for (let row = 0; row < rows; row++) line(row * cols, 1, cols);
  if (rows > 1) for (let col = 0; col < cols; col++) line(col, cols, GRID_LINES);
  context.stroke();
  context.globalAlpha = 1;
}

const heatCanvas = globalThis.document?.createElement("canvas");

/** Score ranges differ between losses, so colours show the distance from the mean score. */
function drawHeat(context, heat, width, color) {
  const middle = heat.reduce((sum, score) => sum + score, 0) / heat.length;
  let spread = 1e-9;
  for (const score of heat) spread += (score - middle) ** 2 / heat.length;
  const sharp = 1 / Math.max(Math.sqrt(spread), 0.15);
  const ends = [rgb(color("--says-false")), rgb(color("--says-real"))];
  heatCanvas.width = heatCanvas.height = HEAT_CELLS;
  const paint = heatCanvas.getContext("2d");
  const image = paint.createImageData(HEAT_CELLS, HEAT_CELLS);
  heat.forEach((score, i) => {
    const verdict = Math.tanh(0.8 * sharp * (score - middle));
    image.data.set(ends[verdict > 0 ? 1 : 0], 4 * i);
    image.data[4 * i + 3] = 150 * Math.abs(verdict);
  });
  paint.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(heatCanvas, 0, 0, width, width);
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function drawArrows(context, drawn, arrows, x, y, width, color) {
  let longest = 1e-9;
  for (let i = 0; i < arrows.length; i += 2) {
    longest = Math.max(longest, Math.hypot(arrows[i], arrows[i + 1]));
  }
  context.strokeStyle = color;
  context.globalAlpha = 0.75;
  context.lineWidth = 1.1;
  context.beginPath();
  for (let i = 0; i < arrows.length; i += 2) {
    const [left, top] = [x(drawn[i]), y(drawn[i + 1])];
    const strength = Math.hypot(arrows[i], arrows[i + 1]);
    const length = 0.075 * width * Math.sqrt(strength / longest);
    if (length < 3) continue;
    const [right, down] = [(arrows[i] / strength) * length, (-arrows[i + 1] / strength) * length];
    const [tipX, tipY] = [left + right, top + down];
    context.moveTo(left, top);
    context.lineTo(tipX, tipY);
    context.lineTo(tipX - 0.3 * right - 0.2 * down, tipY - 0.3 * down + 0.2 * right);
    context.moveTo(tipX, tipY);
    context.lineTo(tipX - 0.3 * right + 0.2 * down, tipY - 0.3 * down - 0.2 * right);
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** The history of a loss, in at most CURVE_POINTS points: pairs of points are merged. */
export class History {
  constructor() {
    Object.assign(this, { points: [], stride: 1, open: 0, count: 0 });
  }

  /** @param {number[]} losses of the steps since the last call */
  push(losses) {
    for (const loss of losses) {
      this.open += loss;
      this.count += 1;
      if (this.count < this.stride) continue;
      this.points.push(this.open / this.count);
      this.open = this.count = 0;
      if (this.points.length < CURVE_POINTS) continue;
      this.points = this.points.filter((_, i) => i % 2).map((point, i) => {
        return (point + this.points[2 * i]) / 2;
      });
      this.stride *= 2;
    }
  }
}

/**
 * Draw curves in one plot; the first losses may be outside, so that the rest is readable.
 * @param {HTMLCanvasElement} canvas
 * @param {{history: History, color: string}[]} curves colours are names of custom properties
 */
export function drawCurves(canvas, curves) {
  const { context, width, height, color } = prepare(canvas);
  const all = curves.flatMap(({ history }) => history.points.slice(history.points.length >> 4));
  if (!all.length) return;
  const sorted = Float64Array.from(all).sort();
  const low = sorted[Math.floor(0.01 * (all.length - 1))];
  const high = sorted[Math.ceil(0.98 * (all.length - 1))];
  const room = Math.max(high - low, 0.05 * Math.abs(high), 1e-3);
  const top = (value) => height - 5 - ((value - low) / room) * (height - 12);
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  for (const { history, color: name } of curves) {
    const { points } = history;
    context.strokeStyle = color(name);
    context.beginPath();
    points.forEach((value, i) => {
      const left = (i / Math.max(points.length - 1, 1)) * width;
      const y = Math.max(-9, Math.min(height + 9, top(value)));
      if (i) context.lineTo(left, y);
      else context.moveTo(left, y);
    });
    context.stroke();
  }
}

/**
 * Draw the encoder's Gaussians of real points, with the prior's circles at 1 and 2.
 * @param {HTMLCanvasElement} canvas
 * @param {{mu: Float32Array, spread: Float32Array, zDim: number}} encoded
 */
export function drawPosterior(canvas, { mu, spread, zDim }) {
  const { context, width, height, color } = prepare(canvas);
  const size = Math.min(width, height);
  const x = (value) => width / 2 + (value * size) / 6.4;
  const y = (value) => height / 2 - (value * size) / 6.4;
  context.strokeStyle = color("--real");
  context.globalAlpha = 0.5;
  for (const radius of [1, 2]) {
    context.beginPath();
    context.arc(width / 2, height / 2, (radius * size) / 6.4, 0, 2 * Math.PI);
    context.stroke();
  }
  context.strokeStyle = context.fillStyle = color("--drawn");
  const count = Math.min(mu.length / zDim, 250);
  for (let i = 0; i < count; i++) {
    const at = i * zDim;
    const left = x(mu[at]);
    // A z of one number: spread the points over a few lines.
    const top = zDim > 1 ? y(mu[at + 1]) : y(((i % 21) - 10) / 10);
    const tall = zDim > 1 ? spread[at + 1] : 0;
    context.globalAlpha = 0.1;
    context.beginPath();
    const unit = size / 6.4;
    context.ellipse(left, top, spread[at] * unit, Math.max(tall * unit, 1), 0, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 0.8;
    context.fillRect(left - 0.8, top - 0.8, 1.6, 1.6);
  }
  context.globalAlpha = 1;
}

/**
 * Draw histograms of the scores of real and drawn points.
 * @param {HTMLCanvasElement} canvas
 * @param {{real: Float32Array, drawn: Float32Array}} scores
 */
export function drawScores(canvas, { real, drawn }) {
  const { context, width, height, color } = prepare(canvas);
  const sorted = Float32Array.from([...real, ...drawn]).sort();
  if (!sorted.length) return;
  const [low, high] = [0.01, 0.99].map((share) => sorted[Math.floor(share * sorted.length)]);
  const bins = 24;
  const room = Math.max(high - low, 1e-6);
  const count = (scores) => {
    const counts = new Float32Array(bins);
    for (const score of scores) {
      const bin = Math.floor(((score - low) / room) * bins);
      counts[Math.max(0, Math.min(bins - 1, bin))] += 1 / scores.length;
    }
    return counts;
  };
  const both = [count(real), count(drawn)];
  const most = Math.max(...both[0], ...both[1]);
  both.forEach((counts, which) => {
    context.fillStyle = color(which ? "--drawn" : "--real");
    context.globalAlpha = 0.6;
    counts.forEach((share, bin) => {
      const tall = (share / most) * (height - 6);
      context.fillRect((bin * width) / bins, height - tall, width / bins - 1, tall);
    });
  });
  context.globalAlpha = 1;
}

/**
 * The thumbnail of a distribution, or of the visitor's painting.
 * @param {HTMLCanvasElement} canvas
 * @param {string} name of DISTRIBUTIONS, or "own"
 * @param {Float32Array} paint
 */
export function drawThumb(canvas, name, paint) {
  const { context, width, color } = prepare(canvas);
  if (name === "own") {
    context.fillStyle = color("--accent");
    const side = Math.sqrt(paint.length);
    const cell = width / side;
    paint.forEach((amount, i) => {
      if (!amount) return;
      context.fillRect((i % side) * cell, Math.floor(i / side) * cell, cell, cell);
    });
    return;
  }
  context.fillStyle = color("--body-text-color");
  const points = drawPoints(DISTRIBUTIONS[name], 260, new Random(1));
  const toPixel = (number) => ((number + 1) / 2) * width;
  for (let i = 0; i < points.length; i += 2) {
    context.fillRect(toPixel(points[i]), toPixel(-points[i + 1]), 1.3, 1.3);
  }
}
