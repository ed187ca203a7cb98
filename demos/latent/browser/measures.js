/**
 * The playground's metrics: how well drawn points match the real ones.
 */
const NEAR = 0.1; // points closer than this count as equal

/**
 * @typedef {object} Match
 * @property {number} near share of the drawn points with a real one near (precision)
 * @property {number} covered share of the real points with a drawn one near (recall)
 * @property {number} reached how many heaps have at least a quarter of their fair share
 * @property {number} heaps number of heaps
 */

/**
 * @param {Float32Array} drawn x, y, x, y, ...
 * @param {Float32Array} real
 * @param {[number, number][]} heaps
 * @returns {Match}
 */
export function compare(drawn, real, heaps) {
  const counts = heaps.map(([x, y]) => {
    let count = 0;
    for (let i = 0; i < drawn.length; i += 2) {
      if (Math.hypot(drawn[i] - x, drawn[i + 1] - y) < 1.5 * NEAR) count += 1;
    }
    return count;
  });
  const fair = drawn.length / 2 / Math.max(heaps.length, 1);
  return {
    near: shareNear(drawn, real),
    covered: shareNear(real, drawn),
    reached: counts.filter((count) => count >= fair / 4).length,
    heaps: heaps.length,
  };
}

/** The share of ``points`` that have one of ``others`` within NEAR; through a grid of cells. */
function shareNear(points, others) {
  const cell = (value) => Math.max(-30, Math.min(30, Math.floor(value / NEAR)));
  const cells = new Map();
  for (let i = 0; i < others.length; i += 2) {
    const key = 100 * cell(others[i + 1]) + cell(others[i]);
    if (cells.has(key)) cells.get(key).push(i);
    else cells.set(key, [i]);
  }
  let found = 0;
  for (let i = 0; i < points.length; i += 2) {
    const [column, row] = [cell(points[i]), cell(points[i + 1])];
    let near = false;
    for (let down = -1; down <= 1; down++)
      for (let right = -1; right <= 1; right++)
        for (const j of cells.get(100 * (row + down) + column + right) ?? [])
          near ||= Math.hypot(points[i] - others[j], points[i + 1] - others[j + 1]) < NEAR;
    if (near) found += 1;
  }
  return found / (points.length / 2);
}
