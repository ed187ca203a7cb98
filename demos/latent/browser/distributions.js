/**
 * The playground's data: distributions of points in the square from -1 to 1.
 */
import { Random } from "./random.js";

const HEAP = 0.04; // standard deviation of a heap of points
const DUST = 0.02; // and of points about a line

/**
 * @typedef {object} Distribution
 * @property {string} title
 * @property {[number, number][]} heaps the centres of its heaps; none if it is a line
 * @property {(rng: Random) => [number, number]} draw one point
 */

function ofHeaps(title, heaps) {
  const draw = (rng) => {
    const [x, y] = heaps[Math.floor(rng.uniform() * heaps.length)];
    return [x + HEAP * rng.normal(), y + HEAP * rng.normal()];
  };
  return { title, heaps, draw };
}

/** @param {(share: number, rng: Random) => [number, number]} at a point of the line */
function ofLine(title, at) {
  const draw = (rng) => {
    const [x, y] = at(rng.uniform(), rng);
    return [x + DUST * rng.normal(), y + DUST * rng.normal()];
  };
  return { title, heaps: [], draw };
}

function grid(side) {
  const places = Array.from({ length: side }, (_, i) => -0.75 + (1.5 * i) / (side - 1));
  return places.flatMap((y) => places.map((x) => [x, y]));
}

function around(share, radius) {
  return [radius * Math.cos(2 * Math.PI * share), radius * Math.sin(2 * Math.PI * share)];
}

function moon(share, rng) {
  const [x, y] = around(share / 2, 0.5);
  return rng.uniform() < 0.5 ? [x - 0.25, y - 0.12] : [0.25 - x, 0.12 - y];
}

/** @type {Object<string, Distribution>} */
export const DISTRIBUTIONS = {
  ring: ofLine("Ring", (share) => around(share, 0.7)),
  circle: ofHeaps("8 heaps", Array.from({ length: 8 }, (_, i) => around(i / 8, 0.7))),
  grid3: ofHeaps("3 × 3 grid", grid(3)),
  grid5: ofHeaps("5 × 5 grid", grid(5)),
  spiral: ofLine("Spiral", (share) => around(2 * Math.sqrt(share), 0.85 * Math.sqrt(share))),
  moons: ofLine("Two moons", moon),
};

export const CELLS = 40; // cells of a painting, across and down

/**
 * A painting as a distribution.
 * @param {ArrayLike<number>} paint amount in each of CELLS x CELLS cells, from the top
 * @returns {Distribution | null} null if there is no paint
 */
export function painted(paint) {
  const upTo = new Float64Array(CELLS * CELLS);
  let sum = 0;
  for (let i = 0; i < upTo.length; i++) upTo[i] = sum += paint[i];
  if (!(sum > 0)) return null;
  const draw = (rng) => {
    const wanted = rng.uniform() * sum;
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle] > wanted) high = middle;
      else low = middle + 1;
    }
    const [row, column] = [Math.floor(low / CELLS), low % CELLS];
    const place = (cell) => (2 * (cell + rng.uniform())) / CELLS - 1;
    return [place(column), -place(row)];
  };
  return { title: "Your own", heaps: [], draw };
}

/**
 * @param {Distribution} distribution
 * @param {number} count
 * @param {Random} rng
 * @returns {Float32Array} x, y, x, y, ...
 */
export function drawPoints(distribution, count, rng) {
  const points = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) points.set(distribution.draw(rng), 2 * i);
  return points;
}
