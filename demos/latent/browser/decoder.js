// Decodes latent vectors in the browser, without a request for each.
// A model is downloaded once and runs in its own worker; its pictures equal those of torch.

const CLOSED = "This model was closed.";

/**
 * @typedef {object} Decoder
 * @property {number} zDim Numbers in a latent vector.
 * @property {number} size Pixels a side of a picture.
 * @property {(z: ArrayLike<number>) => Promise<ImageData>} decode Decode z as soon as possible.
 * @property {(z: ArrayLike<number>) => Promise<ImageData>} decodeLater Decode z when no
 *   `decode` waits: for maps and other large numbers of pictures.
 * @property {() => void} dispose End the worker; pending calls are rejected.
 */

/**
 * Load a model of the catalogue.
 * @param {string} key Such as "latent/critters-vae".
 * @param {string | URL} [base] Base of the gallery's URLs.
 * @returns {Promise<Decoder>}
 * @throws {Error} The model is missing or damaged, or this browser cannot run it.
 */
export async function loadDecoder(key, base = document.baseURI) {
  const program = new URL("decoder-worker.js", import.meta.url);
  const link = connect(new Worker(program, { type: "module" }));
  try {
    const { zDim, size } = await link.ask({ folder: new URL(`weights/${key}/`, base).href });
    return createDecoder(link, zDim, size);
  } catch (error) {
    link.end();
    throw new Error(`${key} cannot be drawn by the browser: ${error.message}`);
  }
}

function createDecoder(link, zDim, size) {
  const soon = [];
  const later = [];
  let busy = false;
  let open = true;

  // The worker gets one z at a time, so that urgent ones can overtake the queue.
  const work = async () => {
    if (busy) return;
    busy = true;
    for (let job; (job = soon.shift() ?? later.shift()); ) {
      await link.ask({ z: job.z }).then(
        ({ pixels }) => job.resolve(new ImageData(pixels, size, size)),
        job.reject,
      );
    }
    busy = false;
  };
  const enter = (queue, numbers) =>
    new Promise((resolve, reject) => {
      const z = Float32Array.from(numbers);
      if (!open) throw new Error(CLOSED);
      if (z.length !== zDim || !z.every(Number.isFinite)) {
        throw new Error(`A latent vector of this model has ${zDim} finite numbers.`);
      }
      queue.push({ z, resolve, reject });
      work();
    });

  return {
    zDim,
    size,
    decode: (z) => enter(soon, z),
    decodeLater: (z) => enter(later, z),
    dispose() {
      open = false;
      for (const job of [...soon.splice(0), ...later.splice(0)]) job.reject(new Error(CLOSED));
      link.end();
    },
  };
}

/** Wrap a worker that answers each message with one message: returns a promise per call. */
function connect(worker) {
  let pending = null;
  const settle = (answer) => {
    const { resolve, reject } = pending ?? {};
    pending = null;
    if (answer.error === undefined) resolve?.(answer);
    else reject?.(new Error(answer.error));
  };
  worker.onmessage = ({ data }) => settle(data);
  worker.onerror = () => settle({ error: "its program cannot be started" });
  return {
    ask: (message) =>
      new Promise((resolve, reject) => {
        pending = { resolve, reject };
        worker.postMessage(message);
      }),
    end() {
      worker.terminate();
      settle({ error: CLOSED });
    },
  };
}

/**
 * Queue only the newest call: while a call of `run` is pending, later calls replace each other,
 * and replaced calls resolve to undefined. For sliders, which move faster than pictures are drawn.
 * @template T
 * @param {(...values: any[]) => Promise<T>} run
 * @returns {(...values: any[]) => Promise<T | undefined>}
 */
export function newest(run) {
  let busy = false;
  let next = null;
  const start = async ({ values, resolve, reject }) => {
    busy = true;
    try {
      resolve(await run(...values));
    } catch (error) {
      reject(error);
    }
    busy = false;
    const call = next;
    next = null;
    if (call) start(call);
  };
  return (...values) =>
    new Promise((resolve, reject) => {
      const call = { values, resolve, reject };
      if (!busy) {
        start(call);
        return;
      }
      next?.resolve();
      next = call;
    });
}
