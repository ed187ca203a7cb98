/** Calls of the server through ordinary Gradio events. */

const TIMEOUT = 60_000; // milliseconds; the first call imports torch

/**
 * Call the server through events of a gr.HTML component, one call at a time.
 * @param {{trigger: Function, watch: Function, props: {value: string}}} component
 * @returns {(kind: string, values: object, event?: string) => Promise<object>} Rejects with the
 *   server's message.
 */
export function createLine({ trigger, watch, props }) {
  let number = 0;
  let waiting = null;
  let last = Promise.resolve();
  watch("value", () => {
    if (!props.value) return;
    const answer = JSON.parse(props.value);
    if (answer.number === waiting?.number) waiting.settle(answer);
  });
  const askNow = (kind, values, event) =>
    new Promise((resolve, reject) => {
      const settle = ({ error, ...answer }) => {
        clearTimeout(timer);
        waiting = null;
        if (error) reject(new Error(error));
        else resolve(answer);
      };
      const error = "The gallery does not answer. Is it still running? Reload the page.";
      const timer = setTimeout(() => settle({ error }), TIMEOUT);
      waiting = { number: ++number, settle };
      trigger(event, { number, kind, values });
    });
  return (kind, values, event = "input") => {
    const asked = last.then(() => askNow(kind, values, event));
    last = asked.catch(() => {});
    return asked;
  };
}

/**
 * Decode on the server, for browsers that cannot. Requests during a call are batched into the
 * next one.
 * @param {ReturnType<typeof createLine>} ask
 * @param {string} dataset
 * @returns {{vae: object, gan: object}} Two decoders, see decoder.js.
 */
export function createRemoteDecoders(ask, dataset) {
  const wanted = { vae: [], gan: [] };
  let busy = false;

  async function send() {
    if (busy || !(wanted.vae.length + wanted.gan.length)) return;
    busy = true;
    const batch = { vae: take(wanted.vae), gan: take(wanted.gan) };
    const pick = (orders) => orders.map((order) => Array.from(order.z));
    try {
      const values = { dataset, vae: pick(batch.vae), gan: pick(batch.gan) };
      const answer = await ask("decode", values, "submit");
      for (const model of ["vae", "gan"])
        batch[model].forEach(async (order, i) => order.resolve(await readImage(answer[model][i])));
    } catch (error) {
      for (const order of [...batch.vae, ...batch.gan]) order.reject(error);
    }
    busy = false;
    send();
  }

  const create = (model) => {
    const order = (z, urgent) =>
      new Promise((resolve, reject) => {
        wanted[model].push({ z, urgent, resolve, reject });
        queueMicrotask(() => queueMicrotask(send)); // waits for both models' requests, to send them together
      });
    return {
      zDim: 64,
      size: 64,
      atOnce: 24,
      decode: (z) => order(z, true),
      decodeLater: (z) => order(z, false),
      dispose() {},
    };
  };
  return { vae: create("vae"), gan: create("gan") };
}

/** Take the next requests: urgent ones alone, so that maps never slow down a slider. */
function take(orders) {
  const urgent = orders.filter((order) => order.urgent);
  const taken = (urgent.length ? urgent : orders).slice(0, 24);
  for (const order of taken) orders.splice(orders.indexOf(order), 1);
  return taken;
}

/** @returns {Promise<ImageData>} the pixels of a data URL. */
async function readImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
