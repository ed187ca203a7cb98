/** The exhibit of the music room: plays what is being composed, and shows it while it sounds. */

import { Axis } from "./axis.js";
import { describeRoll, drawRoll } from "./roll.js";
import { lightUp } from "./sheet.js";
import { Player, fetchSound } from "./sound.js";
import { Spectrum } from "./spectrum.js";

const SHELL = `
<canvas class="player-roll" role="img"></canvas>
<div class="player-bar">
  <button type="button" class="player-play" aria-label="Play">▶</button>
  <input type="range" class="player-seek" min="0" max="1" step="0.01" value="0" aria-label="Position in seconds">
  <output class="player-time"></output>
  <label class="player-repeat"><input type="checkbox"> Repeat</label>
</div>
<p class="player-said" role="status"></p>
<p class="player-parts"></p>
<figure class="player-view"><canvas class="player-swing" role="img" aria-label="Waveform"></canvas>
<figcaption>Waveform: how far the air swings</figcaption></figure>
<figure class="player-view"><canvas class="player-levels" role="img" aria-label="Spectrogram"></canvas>
<figcaption>Spectrogram: which frequencies sound, the lower ones below; each tone brings its overtones</figcaption></figure>`;

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const EMPTY = { id: "", notes: [], parts: [], bars: [], chords: [], chunks: [], seconds: 0, total: 0, done: true };

export function mount(element, { watch, props }) {
  element.innerHTML = SHELL;
  const find = (selector) => element.querySelector(selector);
  const [roll, button, seek, time] = [".player-roll", ".player-play", ".player-seek", ".player-time"].map(find);
  const [repeat, said, swing, levels] = [".player-repeat input", ".player-said", ".player-swing", ".player-levels"].map(find);
  let piece = EMPTY;
  let spectrum = null;
  let loading = Promise.resolve(); // chunks are fetched one after the other
  let asked = 0; // chunks that are here or on their way
  let frame = 0;
  let axis = null;
  const player = new Player(show);

  function take() {
    let told;
    try {
      told = JSON.parse(props.value || "null") ?? EMPTY;
    } catch {
      return;
    }
    const isNew = told.id !== piece.id;
    piece = told;
    if (isNew) {
      player.clear();
      asked = 0;
      spectrum = null;
      said.textContent = "";
      player.repeat = repeat.checked = Boolean(piece.loop);
      if (piece.autoplay) player.play();
    }
    player.seconds = piece.seconds;
    if (piece.done && player.ready >= piece.rendered) player.done = true;
    if (piece.gain) player.setGain(piece.gain);
    for (; asked < piece.chunks.length; asked += 1) fetchNext(piece.id, piece.chunks[asked]);
    const parts = piece.parts.map(([name, instrument], number) => {
      const mark = document.createElement("span");
      mark.className = number ? "player-second" : "player-first";
      mark.textContent = `${name}: ${instrument}`;
      return mark;
    });
    find(".player-parts").replaceChildren(...parts);
    roll.setAttribute("aria-label", describeRoll(piece));
    seek.max = String(Math.max(piece.seconds, 0.01));
    show();
  }

  function fetchNext(id, [start, address, scale]) {
    const sound = fetchSound(address);
    sound.catch(() => {}); // it is told below, in its turn
    loading = loading.then(async () => {
      try {
        const chunk = { start, buffer: await sound, scale };
        if (id !== piece.id) return; // another piece has begun
        const next = piece.chunks[player.chunks.length + 1];
        player.add(chunk, next ? next[0] : piece.rendered);
        if (piece.done && player.chunks.length === piece.chunks.length) player.done = true;
        spectrum ??= new Spectrum();
        spectrum.add(chunk);
      } catch {
        if (id === piece.id) said.textContent = "The sound did not arrive. Reload the page, or download the WAV file.";
      }
      show();
    });
  }

  /** Draws the present moment, and goes on while it plays. */
  function show() {
    cancelAnimationFrame(frame);
    const on = player.playing || player.waiting;
    element.dataset.state = player.playing ? "playing" : player.waiting ? "waiting" : "paused";
    element.dataset.ready = String(player.chunks.length);
    button.textContent = on ? "❚❚" : "▶";
    button.setAttribute("aria-label", on ? "Pause" : "Play");
    button.disabled = !piece.chunks.length && !on;
    const position = player.position;
    if (!seek.matches(":active")) seek.value = String(position);
    time.textContent = `${clock(position)} / ${clock(piece.seconds)}${piece.done ? "" : " …"}`;
    for (const canvas of [swing, levels]) canvas.parentElement.hidden = !spectrum;
    axis = new Axis(piece, position, roll.clientWidth);
    if (roll.clientWidth) {
      drawRoll(roll, piece, axis);
      spectrum?.drawSwing(swing, axis, piece.gain);
      spectrum?.drawLevels(levels, axis);
    }
    lightUp(piece, position);
    if (player.playing) frame = requestAnimationFrame(show);
  }

  button.addEventListener("click", () => (player.wanted ? player.pause() : player.play()));
  seek.addEventListener("input", () => player.seek(Number(seek.value)));
  repeat.addEventListener("change", () => (player.repeat = repeat.checked));
  for (const canvas of [roll, swing, levels])
    canvas.addEventListener("click", ({ offsetX }) => offsetX >= axis.left && player.seek(axis.at(offsetX)));
  new ResizeObserver(show).observe(roll);
  // Dark and light: canvases do not follow by themselves.
  new MutationObserver(show).observe(document.body, { attributeFilter: ["class"] });
  watch("value", take);
  take();
}
