/** A pad to paint a distribution on, with mouse, pen, finger or keyboard. */
import { CELLS } from "./distributions.js";

const BRUSH = 1.6; // radius in cells
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Painting {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed called after each stroke
   */
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, ink: 1 });
    this.paint = new Float32Array(CELLS * CELLS);
    this.cursor = [CELLS / 2, CELLS / 2];
    canvas.width = canvas.height = 8 * CELLS;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => this.#end());
    canvas.addEventListener("keydown", (event) => this.#press(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.draw());
  }

  /** Remove all paint. */
  clear() {
    this.paint.fill(0);
    this.draw();
    this.changed();
  }

  /** Draw the paint, and the brush while the pad has focus. */
  draw() {
    const { canvas, paint, cursor } = this;
    const context = canvas.getContext("2d");
    const size = canvas.width / CELLS;
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = style.getPropertyValue("--accent");
    paint.forEach((amount, i) => {
      if (amount) context.fillRect((i % CELLS) * size, Math.floor(i / CELLS) * size, size, size);
    });
    if (!canvas.matches(":focus-visible")) return;
    context.strokeStyle = style.getPropertyValue("--body-text-color");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(cursor[0] * size, cursor[1] * size, (BRUSH + 0.5) * size, 0, 2 * Math.PI);
    context.stroke();
  }

  #begin(event) {
    if (!event.isPrimary || event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = this.#toCell(event);
    this.stroke = true;
    this.#dab(...this.cursor);
    this.draw();
  }

  #go(event) {
    if (!this.stroke || !event.isPrimary) return;
    this.#line(this.#toCell(event));
  }

  #end() {
    if (!this.stroke) return;
    this.stroke = false;
    this.changed();
  }

  #press(event) {
    const move = MOVES[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault(); // arrow keys must not scroll the page
    const inside = (value) => Math.max(0.5, Math.min(CELLS - 0.5, value));
    const to = this.cursor.map((value, i) => inside(value + (move?.[i] ?? 0)));
    if (move && !event.shiftKey) {
      this.cursor = to;
      this.draw();
      return;
    }
    this.#line(to);
    this.changed();
  }

  #toCell({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((clientX - box.left) / box.width) * CELLS,
      ((clientY - box.top) / box.height) * CELLS,
    ];
  }

  /** Paint a line from the brush's position, since a fast pointer leaves gaps between events. */
  #line(to) {
    const [x, y] = this.cursor;
    const [right, down] = [to[0] - x, to[1] - y];
    const parts = Math.ceil(Math.hypot(right, down)) + 1;
    for (let i = 1; i <= parts; i++) this.#dab(x + (right * i) / parts, y + (down * i) / parts);
    this.cursor = to;
    this.draw();
  }

  #dab(x, y) {
    const reach = Math.ceil(BRUSH);
    for (let row = Math.floor(y) - reach; row <= y + reach; row++) {
      for (let column = Math.floor(x) - reach; column <= x + reach; column++) {
        if (row < 0 || column < 0 || row >= CELLS || column >= CELLS) continue;
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) > BRUSH) continue;
        this.paint[row * CELLS + column] = this.ink;
      }
    }
  }
}
