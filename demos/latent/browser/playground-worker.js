/** Trains in a worker, so that the page stays responsive. Each request gets one answer. */
import { Diverged, Trainer } from "./training.js";

const WHOLE_VIEW_MS = 200; // milliseconds between full views, which cost as much as several steps

/** @type {Trainer} */
let trainer;
let lastWhole = 0;

const ACTIONS = {
  start: ({ settings }) => {
    trainer = new Trainer(settings);
  },
  configure: ({ settings }) => ({ fresh: trainer.configure(settings) }),
  data: ({ name, paint }) => trainer.setData(name, paint),
  restart: () => {
    trainer.restart();
    return { fresh: true };
  },
  step: ({ part }) => trainer.stepPart(part),
  run: ({ milliseconds, fewest, most }) => {
    const until = performance.now() + milliseconds;
    for (let i = 0; i < fewest || (i < most && performance.now() < until); i++) trainer.step();
  },
};

self.addEventListener("message", ({ data: request }) => {
  let result = {};
  try {
    result = ACTIONS[request.kind](request) ?? {};
  } catch (error) {
    if (!(error instanceof Diverged)) throw error;
    result = { diverged: { part: error.part, steps: error.steps } };
  }
  const whole = request.kind !== "run" || performance.now() - lastWhole > WHOLE_VIEW_MS;
  if (whole) lastWhole = performance.now();
  self.postMessage({ kind: request.kind, ...result, ...trainer.view(whole) });
});
