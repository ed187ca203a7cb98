/** The time axis of the player's pictures: one moment stands at one place in all of them. */

const MARGIN = 44; // pixels to the left, for what the pictures' heights mean
const DENSITY = 34; // pixels of a second at the least
const LEAST = 10; // seconds in sight, of a longer piece

export class Axis {
  /**
   * All of a short piece is in sight, of a longer one what is around the playhead.
   * @param {object} piece What the server tells: seconds, total.
   * @param {number} position Of the playhead, in seconds.
   * @param {number} width Of the picture, in pixels.
   */
  constructor(piece, position, width) {
    const total = Math.max(piece.total, piece.seconds, 1);
    this.position = position;
    this.left = MARGIN;
    this.right = width - 2;
    this.span = Math.min(total, Math.max(LEAST, width / DENSITY));
    this.start = Math.min(Math.max(position - this.span / 3, 0), total - this.span);
    this.end = this.start + this.span;
  }

  /** Where a moment stands, in pixels. */
  x(seconds) {
    return this.left + ((seconds - this.start) / this.span) * (this.right - this.left);
  }

  /** The moment that stands somewhere, in seconds. */
  at(x) {
    return this.start + ((x - this.left) / (this.right - this.left)) * this.span;
  }

  /** Confines what is painted from now on to where time is shown. */
  clip(paint, height) {
    paint.beginPath();
    paint.rect(this.left, 0, this.right - this.left, height);
    paint.clip();
  }

  drawPlayhead(paint, color, top, bottom) {
    paint.strokeStyle = color;
    paint.lineWidth = 1.5;
    paint.beginPath();
    paint.moveTo(this.x(this.position), top);
    paint.lineTo(this.x(this.position), bottom);
    paint.stroke();
  }
}
