// Reads a safetensors file: a length, a JSON header, the numbers.
// https://huggingface.co/docs/safetensors

/**
 * @typedef {object} Tensor
 * @property {number[]} shape
 * @property {Float32Array} values In row-major order.
 */

/**
 * Read the tensors of a file whose names begin with `prefix`, half precision as single.
 * Integer tensors (such as counters) are left out.
 * @param {ArrayBuffer} buffer The whole file.
 * @param {string} prefix
 * @returns {Map<string, Tensor>} By name, without the prefix.
 * @throws {Error} The file is damaged.
 */
export function readSafetensors(buffer, prefix = "") {
  const { header, start } = readHeader(buffer);
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__" || !name.startsWith(prefix) || !(entry.dtype in READERS)) continue;
    const [begin, end] = entry.data_offsets;
    const count = entry.shape.reduce((product, side) => product * side, 1);
    const [width, read] = READERS[entry.dtype];
    if (end - begin !== count * width || start + end > buffer.byteLength) {
      throw new Error(`${name} is incomplete`);
    }
    // A copy, since typed arrays need aligned offsets.
    const values = read(buffer.slice(start + begin, start + end));
    tensors.set(name.slice(prefix.length), { shape: entry.shape, values });
  }
  return tensors;
}

/**
 * The names of all tensors in a file.
 * @param {ArrayBuffer} buffer The whole file.
 * @returns {string[]}
 * @throws {Error} The file is damaged.
 */
export function listTensors(buffer) {
  return Object.keys(readHeader(buffer).header);
}

function readHeader(buffer) {
  try {
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    const text = new TextDecoder().decode(new Uint8Array(buffer, 8, length));
    return { header: JSON.parse(text), start: 8 + length };
  } catch {
    throw new Error("its header cannot be read");
  }
}

/** Bytes per number, and a function that reads a buffer. */
const READERS = {
  F32: [4, (bytes) => new Float32Array(bytes)],
  F16: [2, (bytes) => widenHalves(new Uint16Array(bytes))],
};

/** Numbers of half precision: a sign, 5 bits of exponent, 10 of fraction. */
function widenHalves(halves) {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const sign = halves[i] & 0x8000 ? -1 : 1;
    const exponent = (halves[i] >> 10) & 0x1f;
    const fraction = halves[i] & 0x3ff;
    if (exponent === 31) values[i] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) values[i] = sign * fraction * 2 ** -24;
    else values[i] = sign * (1024 + fraction) * POWERS[exponent];
  }
  return values;
}

const POWERS = Float64Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 25));
