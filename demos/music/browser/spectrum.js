/** Two pictures of a sound over time: how far it swings, and which frequencies are in it. */

import { fit, readColors } from "./roll.js";
import { RATE } from "./sound.js";

const WINDOW = 2048; // samples of a spectrum, 46 ms
const COLUMNS = 640;
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
  constructor(total) {
    this.total = total; // seconds that the pictures are wide
    this.mix = new Float32Array(Math.ceil(total * RATE) + WINDOW);
    this.swing = new Float32Array(COLUMNS);
    this.levels = new Float32Array(COLUMNS * ROWS); // 0 to 1
  }

  /** Adds the sound of a chunk where it is heard. */
  add({ start, buffer, scale }) {
    const first = Math.round(start * RATE);
    const length = Math.min(buffer.length, this.mix.length - first);
    for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
      const samples = buffer.getChannelData(channel);
      const share = scale / buffer.numberOfChannels;
      for (let i = 0; i < length; i += 1) this.mix[first + i] += share * samples[i];
    }
    this.#measure(first, first + length);
  }

  #measure(first, last) {
    const step = (this.total * RATE) / COLUMNS;
    const [real, imaginary] = [new Float32Array(WINDOW), new Float32Array(WINDOW)];
    const from = Math.max(0, Math.floor((first - WINDOW) / step));
    for (let column = from; column < COLUMNS && column * step < last; column += 1) {
      const begin = Math.floor(column * step);
      const end = Math.max(begin + 1, Math.floor((column + 1) * step));
      let peak = 0;
      for (let i = begin; i < end; i += 1) peak = Math.max(peak, Math.abs(this.mix[i] || 0));
      this.swing[column] = peak;
      const middle = Math.max(0, Math.round((begin + end - WINDOW) / 2));
      for (let i = 0; i < WINDOW; i += 1) real[i] = hann[i] * (this.mix[middle + i] || 0);
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
        this.levels[row * COLUMNS + column] = Math.min(Math.max(1 - decibels / FAINTEST, 0), 1);
      }
    }
  }

  /** @param {number} gain By which all is louder. */
  drawSwing(canvas, gain) {
    const paint = fit(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const colors = readColors(canvas);
    paint.fillStyle = colors.accent;
    for (let column = 0; column < COLUMNS; column += 1) {
      const half = Math.min(1, this.swing[column] * gain) * (height / 2 - 2);
      const x = (column / COLUMNS) * width;
      if (half) paint.fillRect(x, height / 2 - half, width / COLUMNS + 0.3, 2 * half);
    }
    paint.fillStyle = colors.line;
    paint.fillRect(0, height / 2, width, 1);
  }

  drawLevels(canvas) {
    const paint = fit(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const colors = readColors(canvas);
    const image = new ImageData(COLUMNS, ROWS);
    const [red, green, blue] = toBytes(colors.accent);
    for (const [place, level] of this.levels.entries())
      image.data.set([red, green, blue, 255 * level ** 1.6], 4 * place);
    const picture = new OffscreenCanvas(COLUMNS, ROWS);
    picture.getContext("2d").putImageData(image, 0, 0);
    paint.drawImage(picture, 0, 0, width, height);
    paint.font = `11px ${getComputedStyle(canvas).fontFamily}`;
    paint.textBaseline = "middle";
    paint.fillStyle = colors.ink;
    for (const hertz of MARKS) {
      const y = ((rowOf(hertz) + 0.5) / ROWS) * height;
      paint.fillText(hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`, 6, y);
      paint.fillRect(0, y, 4, 1);
    }
  }
}

/** Reads any CSS colour. */
function toBytes(color) {
  const paint = new OffscreenCanvas(1, 1).getContext("2d");
  paint.fillStyle = color;
  paint.fillRect(0, 0, 1, 1);
  return paint.getImageData(0, 0, 1, 1).data;
}
