/** Two pictures of a sound over time: how far it swings, and which frequencies are in it. */

import { fit, readColors } from "./roll.js";
import { RATE } from "./sound.js";

const WINDOW = 2048; // samples of a spectrum, 46 ms
const HOP = WINDOW / 2; // samples from one column of the pictures to the next
const COLUMN = HOP / RATE; // seconds
const ROWS = 96;
const LOWEST = 60; // Hz
const HIGHEST = 10000;
const FAINTEST = -75; // dB under full scale: what is not shown any more
const MARKS = [100, 1000, 5000];

/** Discrete Fourier transform in place, of a power of two of points (Cooley and Tukey 1965). */
export function transform(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k += 1) {
      const angle = (-2 * Math.PI * k) / size;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      for (let a = k; a < n; a += size) {
        const b = a + half;
        const re = real[b] * cos - imaginary[b] * sin;
        const im = real[b] * sin + imaginary[b] * cos;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}

const hann = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
/** Row 0 is the highest frequency. */
const frequencyOf = (row) => HIGHEST * (LOWEST / HIGHEST) ** (row / (ROWS - 1));
const rowOf = (hertz) => ((ROWS - 1) * Math.log(hertz / HIGHEST)) / Math.log(LOWEST / HIGHEST);

export class Spectrum {
  #mix = new Float32Array(0);
  #swing = new Float32Array(0); // the loudest sample of each column
  #levels = new OffscreenCanvas(1, ROWS); // the stronger, the more opaque

  /** Adds the sound of a chunk where it is heard. */
  add({ start, buffer, scale }) {
    const first = Math.round(start * RATE);
    this.#grow(first + buffer.length);
    for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
      const samples = buffer.getChannelData(channel);
      const share = scale / buffer.numberOfChannels;
      for (let i = 0; i < buffer.length; i += 1) this.#mix[first + i] += share * samples[i];
    }
    this.#measure(first, first + buffer.length);
  }

  #grow(length) {
    if (length <= this.#mix.length) return;
    const [mix, swing, levels] = [this.#mix, this.#swing, this.#levels];
    this.#mix = new Float32Array(length);
    this.#mix.set(mix);
    this.#swing = new Float32Array(Math.ceil(length / HOP));
    this.#swing.set(swing);
    this.#levels = new OffscreenCanvas(this.#swing.length, ROWS);
    this.#levels.getContext("2d").drawImage(levels, 0, 0);
  }

  #measure(first, last) {
    const [real, imaginary] = [new Float32Array(WINDOW), new Float32Array(WINDOW)];
    const from = Math.max(0, Math.floor(first / HOP) - 1);
    const to = Math.min(this.#swing.length, Math.ceil(last / HOP) + 1);
    const image = new ImageData(to - from, ROWS);
    for (let column = from; column < to; column += 1) {
      const begin = column * HOP;
      let peak = 0;
      for (let i = begin; i < begin + HOP; i += 1) peak = Math.max(peak, Math.abs(this.#mix[i] || 0));
      this.#swing[column] = peak;
      const middle = begin + HOP / 2 - WINDOW / 2;
      for (let i = 0; i < WINDOW; i += 1) real[i] = hann[i] * (this.#mix[middle + i] || 0);
      imaginary.fill(0);
      transform(real, imaginary);
      for (let row = 0; row < ROWS; row += 1) {
        // The strongest between this row's frequency and the next one's.
        const low = Math.round((frequencyOf(row + 0.5) * WINDOW) / RATE);
        const high = Math.max(low, Math.round((frequencyOf(row - 0.5) * WINDOW) / RATE));
        let power = 0;
        for (let bin = low; bin <= high && bin < WINDOW / 2; bin += 1)
          power = Math.max(power, real[bin] ** 2 + imaginary[bin] ** 2);
        const decibels = 10 * Math.log10(power / (WINDOW / 4) ** 2 + 1e-12);
        const level = Math.min(Math.max(1 - decibels / FAINTEST, 0), 1);
        image.data[4 * (row * image.width + column - from) + 3] = 255 * level ** 1.6;
      }
    }
    this.#levels.getContext("2d").putImageData(image, from, 0);
  }

  /** @param {number} gain By which all is louder. */
  drawSwing(canvas, axis, gain) {
    const paint = fit(canvas);
    const height = canvas.clientHeight;
    const colors = readColors(canvas);
    paint.save();
    axis.clip(paint, height);
    paint.fillStyle = colors.accent;
    const last = Math.min(this.#swing.length - 1, Math.floor(axis.end / COLUMN));
    for (let column = Math.floor(axis.start / COLUMN); column <= last; column += 1) {
      const half = Math.min(1, this.#swing[column] * gain) * (height / 2 - 2);
      const x = axis.x(column * COLUMN);
      if (half) paint.fillRect(x, height / 2 - half, axis.x((column + 1) * COLUMN) - x + 0.3, 2 * half);
    }
    paint.fillStyle = colors.line;
    paint.fillRect(axis.left, height / 2, axis.right - axis.left, 1);
    axis.drawPlayhead(paint, colors.ink, 0, height);
    paint.restore();
  }

  drawLevels(canvas, axis) {
    const paint = fit(canvas);
    const height = canvas.clientHeight;
    const colors = readColors(canvas);
    paint.font = `11px ${getComputedStyle(canvas).fontFamily}`;
    paint.textBaseline = "middle";
    paint.textAlign = "right";
    paint.fillStyle = colors.text;
    for (const hertz of MARKS) {
      const y = ((rowOf(hertz) + 0.5) / ROWS) * height;
      paint.fillText(hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`, axis.left - 5, y);
    }
    paint.save();
    axis.clip(paint, height);
    const [from, width] = [axis.start / COLUMN, axis.span / COLUMN];
    paint.drawImage(this.#levels, from, 0, width, ROWS, axis.left, 0, axis.right - axis.left, height);
    paint.globalCompositeOperation = "source-in"; // the picture in the room's colour
    paint.fillStyle = colors.accent;
    paint.fillRect(0, 0, axis.right, height);
    paint.globalCompositeOperation = "source-over";
    axis.drawPlayhead(paint, colors.ink, 0, height);
    paint.restore();
  }
}
