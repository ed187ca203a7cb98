/**
 * Sums with latent vectors. place() does what place() in demos/latent/generate.py does, so that a
 * recipe gives in Python the z that was on the page.
 */

/**
 * @typedef {object} Directions  What a model's directions.json holds.
 * @property {number[][]} principal  Orthonormal, strongest first.
 * @property {Object<string, Object<string, number[]>>} attributes  "With minus without".
 *
 * @typedef {object} PairRequest  The fields of PairRequest in generate.py that bear on z.
 * @property {number} truncation
 * @property {number[]} point  All numbers of z before truncation, or none: as the seed drew them.
 * @property {Object<string, Object<string, number>>} attributes
 * @property {number[]} principal
 */

/** @returns {number[]} a + factor * b */
export const add = (a, b, factor = 1) => Array.from(a, (value, i) => value + factor * b[i]);

/** @returns {number[]} factor * a */
export const scale = (a, factor) => Array.from(a, (value) => factor * value);

/** @returns {number} */
export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** @returns {number} Euclidean length; about 8 for 64 numbers from N(0, 1). */
export const length = (a) => Math.sqrt(dot(a, a));

/**
 * Find the z that each model gets.
 * @param {PairRequest} request
 * @param {ArrayLike<number>} drawn  What the seed drew, before truncation.
 * @param {{vae?: Directions, gan?: Directions}} [directions]
 * @returns {{z: Float32Array, vae: Float32Array, gan: Float32Array}} z as both share it, and moved
 *   along the directions of each.
 */
export function computeZ(request, drawn, directions = {}) {
  const start = request.point.length ? request.point : drawn;
  const z = scale(Float32Array.from(start), request.truncation);
  const [vae, gan] = [directions.vae, directions.gan].map((own) =>
    Float32Array.from(own ? add(z, move(own, request, z.length)) : z),
  );
  return { z: Float32Array.from(z), vae, gan };
}

/** Add up what a request moves along the directions of one model. */
function move(directions, request, size) {
  let total = new Array(size).fill(0);
  for (const [name, amounts] of Object.entries(request.attributes))
    for (const [value, amount] of Object.entries(amounts)) {
      const direction = directions.attributes[name]?.[value];
      if (direction) total = add(total, direction, amount);
    }
  request.principal.forEach((amount, i) => {
    if (amount) total = add(total, directions.principal[i], amount);
  });
  return total;
}

/** @returns {number[]} numbers from N(0, 1), by Box and Muller's method. */
export function drawNormal(size, random = Math.random) {
  return Array.from({ length: size }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  });
}

/** @returns {number[][]} two random directions of length 1, at right angles to each other. */
export function drawPlane(size, random = Math.random) {
  const first = unit(drawNormal(size, random));
  const other = drawNormal(size, random);
  return [first, unit(add(other, first, -dot(other, first)))];
}

const unit = (a) => scale(a, 1 / length(a));

/** Keep a number within a range. */
export const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
