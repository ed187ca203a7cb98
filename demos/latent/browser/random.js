/**
 * Seeded random numbers: sfc32 for uniform ones, the Box-Muller transform for normal ones.
 */
export class Random {
  #state;

  /** @param {number} seed whole number; the same seed gives the same numbers */
  constructor(seed) {
    this.#state = new Uint32Array([seed, Math.floor(seed / 2 ** 32), 0x9e3779b9, 1]);
    for (let i = 0; i < 16; i++) this.uniform();
  }

  /** @returns {number} in [0, 1) */
  uniform() {
    const s = this.#state;
    const result = (s[0] + s[1] + s[3]) | 0;
    s[3] += 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = s[2] + (s[2] << 3);
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + result;
    return (result >>> 0) / 2 ** 32;
  }

  /** @returns {number} from N(0, 1) */
  normal() {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /**
   * @param {number} count
   * @returns {Float32Array} numbers from N(0, 1)
   */
  normals(count) {
    return Float32Array.from({ length: count }, () => this.normal());
  }
}
