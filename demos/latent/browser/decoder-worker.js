// Runs one generator in a worker, so that the page stays responsive. See decoder.js.
//
// First message: {folder}, the URL of the checkpoint; answered by {zDim, size} or {error}.
// Then {z} at a time; answered by {pixels} or {error}.

import { createGenerator } from "./generator.js";

let generator;

self.onmessage = async ({ data }) => {
  try {
    if (data.z) {
      const pixels = generator.draw(data.z);
      self.postMessage({ pixels }, [pixels.buffer]);
    } else {
      generator = await load(data.folder);
      self.postMessage({ zDim: generator.zDim, size: generator.size });
    }
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};

async function load(folder) {
  const [module, config, weights] = await Promise.all([
    get(new URL("generator.wasm", import.meta.url)).then(compile),
    get(new URL("config.json", folder)).then((answer) => answer.json()).catch(sayDamaged),
    get(new URL("model.safetensors", folder)).then((answer) => answer.arrayBuffer()),
  ]);
  return createGenerator(module, config, weights).catch(sayDamaged);
}

/** Our own messages are passed on; those of a parser are not for visitors. */
class Reason extends Error {}

function sayDamaged(error) {
  if (error instanceof Reason) throw error;
  throw new Reason(`its files are damaged or of another kind of model (${error.message})`);
}

async function get(url) {
  const name = url.pathname.split("/").at(-1);
  const answer = await fetch(url).catch(() => null);
  if (!answer) throw new Reason(`${name} cannot be fetched; is the gallery still running?`);
  if (!answer.ok) throw new Reason(`${name} is missing`);
  return answer;
}

async function compile(answer) {
  const bytes = await answer.arrayBuffer();
  // Compiling the file shows whether the browser supports all its instructions.
  if (!globalThis.WebAssembly?.validate(bytes)) {
    throw new Reason("this browser has no WebAssembly SIMD; one of the last two years has");
  }
  return WebAssembly.compile(bytes);
}
