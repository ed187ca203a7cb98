/** The piano roll: notes over time, with chords above them, under a playhead. */

const LOW = 55;
const HIGH = 84; // the keys that it shows at least
const LINE = 12; // pixels between the chords' names and the notes
const NAMES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"];

export const pitchName = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

/** Fits a canvas to its place on the screen. @returns {CanvasRenderingContext2D} scaled to CSS pixels */
export function fit(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const paint = canvas.getContext("2d");
  paint.setTransform(scale, 0, 0, scale, 0, 0);
  paint.clearRect(0, 0, width, height);
  return paint;
}

export function readColors(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    accent: read("--accent"),
    strong: read("--accent-strong"),
    line: read("--border-color-primary"),
    text: read("--body-text-color-subdued"),
    second: read("--player-second"),
    ink: read("--body-text-color"),
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {object} piece What the server tells: notes, parts, bars, chords.
 * @param {import("./axis.js").Axis} axis
 */
export function drawRoll(canvas, piece, axis) {
  const paint = fit(canvas);
  const { clientWidth: width, clientHeight: height } = canvas;
  const colors = readColors(canvas);
  const { left, start, span, end, position } = axis;
  const top = 20;
  const bottom = height - 20;
  const x = (seconds) => axis.x(seconds);
  const pitches = piece.notes.map((note) => note[2]);
  const low = Math.min(LOW, ...pitches) - 1;
  const high = Math.max(HIGH, ...pitches) + 1;
  const row = (bottom - top - LINE) / (high - low + 1);
  const y = (pitch) => top + LINE + (high - pitch) * row;
  paint.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  paint.textBaseline = "middle";

  paint.lineWidth = 1;
  paint.strokeStyle = colors.line;
  for (const bar of piece.bars) {
    if (bar < start || bar > end) continue;
    paint.beginPath();
    paint.moveTo(Math.round(x(bar)) + 0.5, top);
    paint.lineTo(Math.round(x(bar)) + 0.5, bottom);
    paint.stroke();
  }
  paint.setLineDash([2, 4]);
  paint.fillStyle = colors.text;
  for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
    const level = Math.round(y(pitch) + row / 2) + 0.5;
    paint.beginPath();
    paint.moveTo(left, level);
    paint.lineTo(width, level);
    paint.stroke();
    paint.textAlign = "right";
    paint.fillText(pitchName(pitch), left - 5, level);
  }
  paint.setLineDash([]);

  paint.save();
  axis.clip(paint, height);
  paint.textAlign = "left";
  let clear = -Infinity;
  for (const [seconds, name] of piece.chords) {
    if (x(seconds) < clear || seconds > end) continue;
    if (x(seconds) > left - 1) paint.fillText(name, x(seconds) + 1, 10);
    clear = x(seconds) + paint.measureText(name).width + 4;
  }
  // The melody is drawn over what accompanies it.
  for (let number = piece.parts.length - 1; number >= 0; number -= 1) {
    for (const [begin, duration, pitch, track] of piece.notes) {
      if (track !== number || begin > end || begin + duration < start) continue;
      const sounds = position >= begin && position < begin + duration;
      paint.fillStyle = sounds ? colors.strong : number ? colors.second : colors.accent;
      const [from, to] = [x(begin), x(begin + duration * 0.94)];
      paint.fillRect(from, y(pitch) + row * 0.1 - (sounds ? 1 : 0), Math.max(to - from, 1.5), row * 0.8 + (sounds ? 2 : 0));
    }
  }
  paint.fillStyle = colors.text;
  paint.textAlign = "center";
  const every = span > 30 ? 10 : span > 12 ? 5 : 2;
  for (let tick = Math.ceil(start / every) * every; tick <= end; tick += every)
    if (x(tick) > left + 8 && x(tick) < width - 14) paint.fillText(`${tick} s`, x(tick), height - 8);
  axis.drawPlayhead(paint, colors.ink, top - 6, bottom);
  paint.restore();
}

/** What the picture shows, in words. */
export function describeRoll(piece) {
  if (!piece.notes.length) return "Piano roll without notes";
  const pitches = piece.notes.map((note) => note[2]);
  const players = piece.parts.map(([, instrument]) => instrument).join(" and ");
  return (
    `Piano roll: ${piece.notes.length} notes for ${players} from ${pitchName(Math.min(...pitches))} ` +
    `to ${pitchName(Math.max(...pitches))} in ${Math.round(piece.seconds)} seconds`
  );
}
