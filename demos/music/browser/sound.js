/** Plays chunks of sound so that they add up to one piece, also while later ones are still being made. */

export const RATE = 44100;
const AHEAD = 0.06; // seconds between deciding to play and the first sample
const FADE = 0.012; // seconds, so that nothing clicks where one jumps in or out
const LOOK = 1.5; // seconds before its end at which the next round of a loop is put on

let context = null;

/** The one audio context of the page. Browsers let it sound once a visitor has touched the page. */
function wakeContext() {
  context ??= new AudioContext({ sampleRate: RATE });
  if (context.state === "suspended") context.resume();
  return context;
}
for (const gesture of ["pointerdown", "keydown"])
  document.addEventListener(gesture, () => context?.state === "suspended" && context.resume(), true);

/** @returns {Promise<AudioBuffer>} */
export async function fetchSound(address) {
  const response = await fetch(new URL(address, document.baseURI));
  if (!response.ok) throw new Error(`The sound could not be fetched (${response.status}).`);
  // Decoding needs no permission to sound.
  return new OfflineAudioContext(2, 1, RATE).decodeAudioData(await response.arrayBuffer());
}

/**
 * Position 0 of the piece is at `base` on the context's clock. A chunk is played at its own start
 * and rings on over the next one.
 */
export class Player {
  /** @param {() => void} changed Called when playing begins, ends or waits. */
  constructor(changed) {
    this.changed = changed;
    this.repeat = false;
    this.clear();
  }

  clear() {
    this.stop();
    this.chunks = []; // {start, buffer, scale}, in order
    this.ready = 0; // seconds of the piece whose sound is here
    this.seconds = 0; // its length
    this.done = false;
    this.gain = 1;
    this.at = 0; // where it stands while it does not play
    this.wanted = false; // to be played as soon as there is something
  }

  get playing() {
    return this.base !== null;
  }

  /** Whether it plays but has to wait for sound. */
  get waiting() {
    return this.wanted && !this.playing;
  }

  get position() {
    if (!this.playing) return this.at;
    const now = context.currentTime - this.base;
    return Math.min(Math.max(now, 0), this.seconds || Infinity);
  }

  /** @param {{start: number, buffer: AudioBuffer, scale: number}} chunk */
  add(chunk, ready) {
    this.chunks.push(chunk);
    this.ready = ready;
    if (this.playing) this.#put(chunk, this.base, this.position);
    else if (this.wanted) this.#begin();
  }

  setGain(gain) {
    this.gain = gain;
    this.volume?.gain.setTargetAtTime(gain, context.currentTime, 0.3);
  }

  play() {
    this.wanted = true;
    if (this.done && this.at >= this.seconds - 0.01) this.at = 0;
    wakeContext();
    if (!this.playing && this.chunks.length && this.at <= this.ready) this.#begin();
    this.changed();
  }

  pause() {
    this.at = this.position;
    this.wanted = false;
    this.stop();
    this.changed();
  }

  seek(position) {
    const go = this.wanted;
    this.stop();
    this.at = Math.min(Math.max(position, 0), this.seconds);
    if (go) this.play();
    this.changed();
  }

  stop() {
    clearInterval(this.timer);
    this.base = null;
    this.nextRound = null;
    if (!this.volume) return;
    const [volume, sources, end] = [this.volume, this.sources, context.currentTime + FADE];
    volume.gain.cancelScheduledValues(0);
    volume.gain.setTargetAtTime(0, context.currentTime, FADE / 4);
    for (const source of sources) source.stop(end + FADE);
    this.volume = null;
  }

  #begin() {
    wakeContext();
    this.volume = new GainNode(context, { gain: 0 });
    this.volume.connect(context.destination);
    this.volume.gain.setTargetAtTime(this.gain, context.currentTime + AHEAD, FADE / 4);
    this.sources = new Set();
    this.base = context.currentTime + AHEAD - this.at;
    for (const chunk of this.chunks) this.#put(chunk, this.base, this.at);
    this.timer = setInterval(() => this.#look(), 100);
    this.changed();
  }

  /** Puts a chunk on, from `from` (seconds of the piece) on. */
  #put(chunk, base, from) {
    if (chunk.start + chunk.buffer.duration <= from) return;
    const source = new AudioBufferSourceNode(context, { buffer: chunk.buffer });
    const level = new GainNode(context, { gain: chunk.scale });
    source.connect(level).connect(this.volume);
    const into = Math.max(from - chunk.start, 0);
    source.start(Math.max(base + chunk.start + into, 0), into);
    this.sources.add(source);
    source.onended = () => this.sources.delete(source);
  }

  /** Ten times a second: is there sound to come, and what at the end? */
  #look() {
    if (context.state !== "running") return;
    const now = context.currentTime - this.base;
    if (!this.done && now >= this.ready) {
      this.stop(); // it goes on when the rest is there
      this.at = this.ready;
      this.changed();
      return;
    }
    if (!this.done) return;
    if (this.repeat && this.nextRound === null && now > this.seconds - LOOK) {
      this.nextRound = this.base + this.seconds;
      for (const chunk of this.chunks) this.#put(chunk, this.nextRound, 0);
    }
    if (this.nextRound !== null && now >= this.seconds) {
      this.base = this.nextRound;
      this.nextRound = null;
    } else if (now >= Math.max(...this.chunks.map(({ start, buffer }) => start + buffer.duration))) {
      this.wanted = false;
      this.stop();
      this.at = 0;
      this.changed();
    }
  }
}
