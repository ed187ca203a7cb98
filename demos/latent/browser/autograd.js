/**
 * Automatic differentiation of matrices, small enough to read in one sitting.
 *
 * Every operation returns a new Tensor with its parents and, for each of them, a function that
 * propagates gradients back. These functions use the same operations, so that gradients can be
 * differentiated again, as the gradient penalty of a Wasserstein GAN requires.
 */

let recording = true;
let created = 0;

/** A row-major matrix of float32, and the operation that made it. */
export class Tensor {
  /**
   * @param {Float32Array} data
   * @param {number} rows
   * @param {number} cols
   * @param {Tensor[]} parents
   * @param {((gradient: Tensor) => Tensor)[]} ways back to each parent
   */
  constructor(data, rows, cols, parents = [], ways = []) {
    this.data = data;
    this.rows = rows;
    this.cols = cols;
    this.tracked = recording && parents.some((parent) => parent.tracked);
    this.parents = this.tracked ? parents : [];
    this.ways = ways;
    this.order = created++; // parents are always older than their children
  }

  /** @returns {number} of a 1 x 1 matrix */
  get value() {
    return this.data[0];
  }
}

/**
 * A constant: no gradient flows into it.
 * @param {ArrayLike<number>} values row by row
 * @param {number} rows
 * @param {number} cols
 */
export function constant(values, rows, cols) {
  return new Tensor(Float32Array.from(values), rows, cols);
}

/**
 * A leaf with a gradient; it uses ``data`` itself, not a copy.
 * @param {Float32Array} data
 * @param {number} rows
 * @param {number} cols
 */
export function variable(data, rows, cols) {
  const leaf = new Tensor(data, rows, cols);
  leaf.tracked = true;
  return leaf;
}

/**
 * Run ``work`` without recording operations, which is faster (torch.no_grad).
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
export function untracked(work) {
  return record(false, work);
}

/**
 * Run ``work`` with recording, even inside of ``untracked`` (torch.enable_grad).
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
export function tracked(work) {
  return record(true, work);
}

function record(wanted, work) {
  const before = recording;
  recording = wanted;
  try {
    return work();
  } finally {
    recording = before;
  }
}

/**
 * The gradients of ``output``, a 1 x 1 tensor, with respect to ``inputs``.
 * @param {Tensor} output
 * @param {Tensor[]} inputs
 * @param {{again?: boolean}} options ``again``: the gradients themselves can be differentiated
 * @returns {Tensor[]} each of its input's shape
 */
export function gradients(output, inputs, { again = false } = {}) {
  return again ? flowBack(output, inputs) : untracked(() => flowBack(output, inputs));
}

function flowBack(output, inputs) {
  const flows = new Map([[output, constant([1], 1, 1)]]);
  for (const node of descendants(output)) {
    const flow = flows.get(node);
    node.parents.forEach((parent, i) => {
      if (!parent.tracked) return;
      const part = node.ways[i](flow);
      const sum = flows.get(parent);
      flows.set(parent, sum ? add(sum, part) : part);
    });
  }
  return inputs.map((input) => flows.get(input) ?? zeros(input.rows, input.cols));
}

/** All ancestors of ``output``, children before parents. */
function descendants(output) {
  const found = new Set([output]);
  for (const { parents } of found) {
    for (const parent of parents) if (parent.tracked) found.add(parent);
  }
  return [...found].sort((one, other) => other.order - one.order);
}

function zeros(rows, cols) {
  return new Tensor(new Float32Array(rows * cols), rows, cols);
}

/**
 * Matrix product; ``flipA`` and ``flipB`` transpose a factor.
 * @param {Tensor} a
 * @param {Tensor} b
 */
export function matmul(a, b, flipA = false, flipB = false) {
  const left = flipA ? transpose(a) : a.data;
  const right = flipB ? transpose(b) : b.data;
  const [rows, inner] = flipA ? [a.cols, a.rows] : [a.rows, a.cols];
  const cols = flipB ? b.rows : b.cols;
  return new Tensor(multiply(left, right, rows, inner, cols), rows, cols, [a, b], [
    (g) => (flipA ? matmul(b, g, flipB, true) : matmul(g, b, false, !flipB)),
    (g) => (flipB ? matmul(g, a, true, flipA) : matmul(a, g, !flipA, false)),
  ]);
}

function transpose({ data, rows, cols }) {
  const flipped = new Float32Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) flipped[j * rows + i] = data[i * cols + j];
  return flipped;
}

/** Two rows of ``a`` and four of ``b`` at a time, which reuses what is in the CPU's cache. */
function multiply(a, b, rows, inner, cols) {
  const out = new Float32Array(rows * cols);
  const even = rows & ~1;
  const whole = inner & ~3;
  for (let i = 0; i < even; i += 2) {
    const top = i * cols;
    const low = top + cols;
    for (let k = 0; k < whole; k += 4) {
      const at = i * inner + k;
      const a0 = a[at], a1 = a[at + 1], a2 = a[at + 2], a3 = a[at + 3];
      const under = at + inner;
      const c0 = a[under], c1 = a[under + 1], c2 = a[under + 2], c3 = a[under + 3];
      const p0 = k * cols, p1 = p0 + cols, p2 = p1 + cols, p3 = p2 + cols;
      for (let j = 0; j < cols; j++) {
        const b0 = b[p0 + j], b1 = b[p1 + j], b2 = b[p2 + j], b3 = b[p3 + j];
        out[top + j] += a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3;
        out[low + j] += c0 * b0 + c1 * b1 + c2 * b2 + c3 * b3;
      }
    }
  }
  for (let i = 0; i < rows; i++) {
    for (let k = i < even ? whole : 0; k < inner; k++) {
      const factor = a[i * inner + k];
      for (let j = 0; j < cols; j++) out[i * cols + j] += factor * b[k * cols + j];
    }
  }
  return out;
}

/** Sum; one row, one column or one number is broadcast. */
export function add(a, b) {
  const [x, y, rows, cols] = fit(a, b);
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i];
  return new Tensor(out, rows, cols, [a, b], [
    (g) => sumTo(g, a.rows, a.cols),
    (g) => sumTo(g, b.rows, b.cols),
  ]);
}

/** Difference, with broadcasting as in ``add``. */
export function subtract(a, b) {
  return add(a, scale(b, -1));
}

/** Product element by element, with broadcasting as in ``add``. */
export function multiplyEach(a, b) {
  const [x, y, rows, cols] = fit(a, b);
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < out.length; i++) out[i] = x[i] * y[i];
  return new Tensor(out, rows, cols, [a, b], [
    (g) => sumTo(multiplyEach(g, b), a.rows, a.cols),
    (g) => sumTo(multiplyEach(g, a), b.rows, b.cols),
  ]);
}

function fit(a, b) {
  const rows = Math.max(a.rows, b.rows);
  const cols = Math.max(a.cols, b.cols);
  return [repeat(a, rows, cols), repeat(b, rows, cols), rows, cols];
}

function repeat(a, rows, cols) {
  if (a.rows === rows && a.cols === cols) return a.data;
  const out = new Float32Array(rows * cols);
  const down = a.rows === 1 ? 0 : a.cols;
  const right = a.cols === 1 ? 0 : 1;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) out[i * cols + j] = a.data[i * down + j * right];
  return out;
}

/**
 * Sum over rows or columns or both, the reverse of broadcasting.
 * @param {Tensor} a
 * @param {number} rows 1 or that of ``a``
 * @param {number} cols 1 or that of ``a``
 */
export function sumTo(a, rows, cols) {
  if (a.rows === rows && a.cols === cols) return a;
  const out = new Float32Array(rows * cols);
  const down = rows === 1 ? 0 : cols;
  const right = cols === 1 ? 0 : 1;
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < a.cols; j++) out[i * down + j * right] += a.data[i * a.cols + j];
  return new Tensor(out, rows, cols, [a], [(g) => add(g, zeros(a.rows, a.cols))]);
}

/** The mean of all elements, 1 x 1. */
export function mean(a) {
  return scale(sumTo(a, 1, 1), 1 / a.data.length);
}

/** Every element times a plain number. */
export function scale(a, factor) {
  return each(a, (x) => x * factor, (g) => scale(g, factor));
}

/** Every element plus a plain number. */
export function shift(a, by) {
  return each(a, (x) => x + by, (g) => g);
}

/** Every element to the power of a plain number. */
export function power(a, exponent) {
  const slope = (g) => multiplyEach(g, scale(power(a, exponent - 1), exponent));
  return each(a, (x) => x ** exponent, slope);
}

/** Every element squared. */
export function square(a) {
  return multiplyEach(a, a);
}

/** e to the power of every element. */
export function exp(a) {
  const out = each(a, Math.exp, (g) => multiplyEach(g, out));
  return out;
}

/** Hyperbolic tangent of every element. */
export function tanh(a) {
  const out = each(a, Math.tanh, (g) => multiplyEach(g, shift(scale(square(out), -1), 1)));
  return out;
}

/** 1 / (1 + e^-x) of every element. */
export function sigmoid(a) {
  const slope = (g) => multiplyEach(g, subtract(out, square(out)));
  const out = each(a, (x) => 1 / (1 + Math.exp(-x)), slope);
  return out;
}

/** log(1 + e^x) of every element: a smooth step from 0 to x. */
export function softplus(a) {
  const of = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  return each(a, of, (g) => multiplyEach(g, sigmoid(a)));
}

/** x where it is positive and ``slope`` times x elsewhere; with slope 0 the plain ReLU. */
export function leakyRelu(a, slope = 0.2) {
  const { data, rows, cols } = a;
  const slopes = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) slopes[i] = data[i] > 0 ? 1 : slope;
  return multiplyEach(a, new Tensor(slopes, rows, cols));
}

function each(a, of, way) {
  const out = new Float32Array(a.data.length);
  for (let i = 0; i < out.length; i++) out[i] = of(a.data[i]);
  return new Tensor(out, a.rows, a.cols, [a], [way]);
}
