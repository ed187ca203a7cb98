// The network of shared/nets/generator.py in the browser: reads its weights, reorders
// them for generator.c, and runs its layers.

import { listTensors, readSafetensors } from "./safetensors.js";

const BLOCK = 8; // channels that generator.c computes at once
const EPSILON = 1e-5; // of torch's batch norms
const RELU = 0; // negative slope of the activation
const FIRST_SIDE = 4; // width and height of the stem's output

/**
 * @typedef {object} Generator
 * @property {number} zDim Numbers in a latent vector.
 * @property {number} size Pixels a side of a picture.
 * @property {(z: Float32Array) => Uint8ClampedArray} draw RGBA of the picture of z, a copy.
 */

/**
 * Build the generator of a checkpoint folder of ours: a GAN's, or the decoder of a VAE.
 * @param {WebAssembly.Module} module generator.wasm
 * @param {{z_dim: number, channels: number[]}} config config.json
 * @param {ArrayBuffer} weights model.safetensors
 * @returns {Promise<Generator>}
 * @throws {Error} A file is damaged or belongs to another kind of model.
 */
export async function createGenerator(module, config, weights) {
  const { z_dim: zDim, channels } = config;
  if (!(zDim > 0) || !Array.isArray(channels) || !channels.length) {
    throw new Error("config.json is of another kind of model");
  }
  const prefix = listTensors(weights).includes("decoder.stem.weight") ? "decoder." : "";
  const tensors = readSafetensors(weights, prefix);
  const { exports } = await WebAssembly.instantiate(module);
  const memory = new Memory(exports);
  const take = (name, ...shape) => {
    const tensor = tensors.get(name);
    if (!tensor || String(tensor.shape) !== String(shape)) {
      throw new Error(`model.safetensors has no ${name} of ${shape.join(" x ")}`);
    }
    return tensor.values;
  };
  const takeNorm = (name, count) => {
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (part) => take(`${name}.${part}`, count),
    );
    const scale = Float64Array.from(weight, (w, i) => w / Math.sqrt(variance[i] + EPSILON));
    return { scale, shift: Float64Array.from(bias, (b, i) => b - mean[i] * scale[i]) };
  };

  const input = memory.reserve(zDim);
  const layers = [];
  const addLinear = (from, columns, out, rows, slope, weightAt, biasAt) => {
    const weights = memory.store(packLinear(rows, columns, weightAt));
    const bias = memory.store(Float32Array.from({ length: rows }, (_, row) => biasAt(row)));
    layers.push(() => exports.linear(from, weights, bias, out, rows, columns, slope));
  };

  let side = FIRST_SIDE;
  let wide = channels[0];
  const filled = roundUp(wide);
  let map = memory.reserveMap(side, filled);
  const stem = take("stem.weight", wide * side * side, zDim);
  const norm = takeNorm("body.0", wide);
  for (let y = 0; y < side; y++) {
    // A linear layer for each row of the feature map, since rows are separated by the border.
    // Channels come first in torch's order and last in ours.
    const weightAt = (row, column) => {
      const [x, channel] = [Math.floor(row / filled), row % filled];
      if (channel >= wide) return 0;
      return norm.scale[channel] * stem[((channel * side + y) * side + x) * zDim + column];
    };
    const biasAt = (row) => norm.shift[row % filled] ?? 0;
    const out = map + 4 * ((y + 1) * (side + 2) + 1) * filled;
    addLinear(input, zDim, out, side * filled, RELU, weightAt, biasAt);
  }

  let index = 2; // in torch's Sequential, with four entries per stage
  for (const narrow of channels.slice(1)) {
    const kernel = take(`body.${index + 1}.weight`, narrow, wide, 3, 3);
    const norm = takeNorm(`body.${index + 2}`, narrow);
    const weights = memory.store(packUpsample(kernel, norm.scale, wide, narrow));
    const bias = memory.store(fill(norm.shift, roundUp(narrow)));
    const out = memory.reserveMap(2 * side, roundUp(narrow));
    const sizes = [side, roundUp(wide), roundUp(narrow)];
    const from = map;
    layers.push(() => exports.upsample_conv(from, weights, bias, out, ...sizes, RELU));
    [map, side, wide, index] = [out, 2 * side, narrow, index + 4];
  }

  const kernel = take(`body.${index}.weight`, 3, wide, 3, 3);
  const colors = memory.store(packLast(kernel, wide));
  const bias = memory.store(fill(take(`body.${index}.bias`, 3), 4));
  const picture = memory.reserve(side * side); // a pixel of four bytes is as large as a number
  layers.push(() => exports.to_picture(map, colors, bias, picture, side, roundUp(wide)));

  return {
    zDim,
    size: side,
    draw(z) {
      memory.numbers(input, zDim).set(z);
      for (const layer of layers) layer();
      return new Uint8ClampedArray(exports.memory.buffer, picture, 4 * side * side).slice();
    },
  };
}

/** Allocates WebAssembly's memory from its start; nothing is freed. */
class Memory {
  constructor(exports) {
    this.memory = exports.memory;
    this.end = exports.__heap_base.value;
  }

  /** Allocate `count` zeros; return their address. */
  reserve(count) {
    const start = Math.ceil(this.end / 16) * 16; // the width of a vector register
    this.end = start + 4 * count;
    const missing = this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return start;
  }

  /** Allocate a feature map with its border. */
  reserveMap(side, channels) {
    return this.reserve((side + 2) ** 2 * channels);
  }

  /** Copy `values` into memory; return their address. */
  store(values) {
    const start = this.reserve(values.length);
    this.numbers(start, values.length).set(values);
    return start;
  }

  /** A view, valid until the next allocation, since growing memory moves it. */
  numbers(start, count) {
    return new Float32Array(this.memory.buffer, start, count);
  }
}

/** Round channels up to whole blocks; padded channels have zero weights and stay zero. */
function roundUp(channels) {
  return Math.ceil(channels / BLOCK) * BLOCK;
}

function fill(values, count) {
  const filled = new Float32Array(count);
  filled.set(values);
  return filled;
}

/** Weights of a linear layer as (rows / BLOCK, columns, BLOCK). */
function packLinear(rows, columns, weightAt) {
  const packed = new Float32Array(rows * columns);
  let next = 0;
  for (let block = 0; block < rows; block += BLOCK) {
    for (let column = 0; column < columns; column++) {
      for (let row = block; row < block + BLOCK; row++) packed[next++] = weightAt(row, column);
    }
  }
  return packed;
}

/**
 * Rows (or columns) of a 3 x 3 kernel that fall on the same pixel before upsampling: for even and
 * odd output pixels, for each of their two taps.
 */
const TAPS = [
  [[0], [1, 2]],
  [[0, 1], [2]],
];

/** A 3 x 3 kernel (narrow, wide, 3, 3) as four of 2 x 2, in the order that generator.c reads. */
function packUpsample(kernel, scale, wide, narrow) {
  const packed = new Float32Array(16 * roundUp(wide) * roundUp(narrow));
  let next = 0;
  for (const down of TAPS) {
    for (const right of TAPS) {
      for (let block = 0; block < roundUp(narrow); block += BLOCK) {
        for (const rows of down) {
          for (const columns of right) {
            for (let from = 0; from < roundUp(wide); from++) {
              for (let to = block; to < block + BLOCK; to++, next++) {
                if (from >= wide || to >= narrow) continue;
                let sum = 0;
                const start = 9 * (to * wide + from);
                for (const row of rows) {
                  for (const column of columns) sum += kernel[start + 3 * row + column];
                }
                packed[next] = sum * scale[to];
              }
            }
          }
        }
      }
    }
  }
  return packed;
}

/** The kernel (3, wide, 3, 3) of the last convolution as (3, 3, wide, 4). */
function packLast(kernel, wide) {
  const packed = new Float32Array(9 * roundUp(wide) * 4);
  for (let color = 0; color < 3; color++) {
    for (let from = 0; from < wide; from++) {
      for (let tap = 0; tap < 9; tap++) {
        packed[4 * (tap * roundUp(wide) + from) + color] = kernel[9 * (color * wide + from) + tap];
      }
    }
  }
  return packed;
}
