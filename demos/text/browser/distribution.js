/** What temperature, top-k, top-p and min-p make of a distribution, as transformers does it. */

/** Why a token is left out, by number. */
export const CUTS = ["", "temperature 0", "top-k", "top-p", "min-p"];
const [KEPT, GREEDY, TOP_K, TOP_P, MIN_P] = CUTS.keys();

/**
 * @param {ArrayLike<number>} logits likeliest first
 * @param {number} count so many of them, the others being 0
 * @returns {Float64Array} probabilities
 */
function softmax(logits, count = logits.length) {
  const shares = new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < count; i += 1) sum += shares[i] = Math.exp(logits[i] - logits[0]);
  for (let i = 0; i < count; i += 1) shares[i] /= sum;
  return shares;
}

/** @param {Float64Array} probabilities @returns {number} bits */
export function entropy(probabilities) {
  let bits = 0;
  for (const p of probabilities) if (p > 0) bits -= p * Math.log2(p);
  return bits;
}

/**
 * Apply the controls in the order of `generate()`: each sees what the ones before it left. As the
 * logits are sorted, each keeps a beginning of them.
 * @param {ArrayLike<number>} logits likeliest first
 * @param {{temperature: number, top_k: number, top_p: number, min_p: number}} controls
 * @returns {{before: Float64Array, after: Float64Array, cuts: Uint8Array, kept: number,
 *   lost: number}} probabilities as the model gives them and after the controls; which of CUTS took
 *   each; how many are left; and what the model gave the others together
 */
export function shape(logits, { temperature, top_k, top_p, min_p }) {
  const before = softmax(logits);
  const size = logits.length;
  const cuts = new Uint8Array(size);
  let kept = size;
  const keep = (count, why) => {
    cuts.fill(why, count, kept);
    kept = Math.min(kept, count);
  };
  if (temperature === 0) keep(countEqual(logits, 1), GREEDY);
  const scaled = temperature > 0 ? Float64Array.from(logits, (x) => x / temperature) : logits;
  if (temperature > 0 && top_k > 0 && top_k < size) keep(countEqual(scaled, top_k), TOP_K);
  if (temperature > 0 && top_p < 1) keep(countNucleus(softmax(scaled, kept), kept, top_p), TOP_P);
  if (temperature > 0 && min_p > 0) {
    const shares = softmax(scaled, kept);
    let count = 1;
    while (count < kept && shares[count] >= min_p * shares[0]) count += 1;
    keep(count, MIN_P);
  }
  let lost = 0;
  for (let i = size - 1; i >= kept; i -= 1) lost += before[i];
  return { before, after: softmax(scaled, kept), cuts, kept, lost };
}

/** How many of the sorted `logits` are no smaller than the `count`-th. */
function countEqual(logits, count) {
  let equal = count;
  while (equal < logits.length && logits[equal] === logits[count - 1]) equal += 1;
  return equal;
}

/** How many of the likeliest reach `share` together: from the end, what fits in the rest goes. */
function countNucleus(shares, kept, share) {
  let rest = 0;
  let count = kept;
  while (count > 1) {
    rest += shares[count - 1];
    if (rest > 1 - share) break;
    count -= 1;
  }
  return count;
}
