/** The numbers of z as a chart of bars that can be dragged, also with the keyboard. */

import { clamp } from "./vectors.js";

const MOST = 4; // the chart ends here; a number beyond it has a bar of full height
const STEP = 0.1;
const KEYS = {
  ArrowUp: STEP,
  ArrowDown: -STEP,
  PageUp: 1,
  PageDown: -1,
};

/**
 * @param {HTMLElement} container  Of the chart.
 * @param {number} count  How many numbers.
 * @param {(index: number, value: number) => void} change  Called while a bar is dragged.
 * @returns {(values: ArrayLike<number>, factor: number) => void} Shows numbers: pale bars without
 *   and coloured bars with ``factor``.
 */
export function createBars(container, count, change) {
  const bars = Array.from({ length: count }, (_, i) => {
    const bar = document.createElement("div");
    bar.role = "slider";
    bar.tabIndex = i ? -1 : 0;
    for (const [name, value] of Object.entries({
      label: `Number ${i + 1} of ${count}`,
      orientation: "vertical",
      valuemin: -MOST,
      valuemax: MOST,
    }))
      bar.setAttribute(`aria-${name}`, value);
    bar.append(document.createElement("i"), document.createElement("b"));
    return bar;
  });
  container.replaceChildren(...bars);
  let shown = new Array(count).fill(0);

  const focus = (index) => {
    for (const bar of bars) bar.tabIndex = -1;
    bars[index].tabIndex = 0;
    bars[index].focus({ preventScroll: true });
  };
  const set = (index, value) =>
    change(index, Math.round(clamp(value, -MOST, MOST) * 100) / 100);

  let dragged = -1;
  const follow = (event) => {
    const box = bars[dragged].getBoundingClientRect();
    set(dragged, MOST * (1 - (2 * (event.clientY - box.top)) / box.height));
  };
  container.addEventListener("pointerdown", (event) => {
    dragged = bars.indexOf(event.target.closest("[role=slider]"));
    if (dragged < 0 || event.button) return;
    event.preventDefault();
    container.setPointerCapture(event.pointerId);
    focus(dragged);
    follow(event);
  });
  container.addEventListener("pointermove", (event) => {
    if (dragged >= 0 && container.hasPointerCapture(event.pointerId)) follow(event);
  });
  container.addEventListener("lostpointercapture", () => {
    dragged = -1;
  });
  container.addEventListener("keydown", (event) => {
    const index = bars.indexOf(event.target);
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key in KEYS) set(index, shown[index] + KEYS[key]);
    else if (key === "ArrowRight") focus(Math.min(count - 1, index + 1));
    else if (key === "ArrowLeft") focus(Math.max(0, index - 1));
    else if (key === "Home") focus(0);
    else if (key === "End") focus(count - 1);
    else if (key === "0" || key === "Delete") set(index, 0);
    else return;
    event.preventDefault();
  });

  return (values, factor) => {
    shown = Array.from(values);
    bars.forEach((bar, i) => {
      const value = shown[i];
      bar.setAttribute("aria-valuenow", value.toFixed(2));
      bar.title = `Number ${i + 1}: ${value.toFixed(2)}`;
      size(bar.firstChild, value);
      size(bar.lastChild, value * factor);
    });
  };
}

/** Give a bar its height, up or down from the middle. */
function size(bar, value) {
  const height = (50 * Math.min(Math.abs(value), MOST)) / MOST;
  bar.style.height = `${height}%`;
  bar.style.top = `${value > 0 ? 50 - height : 50}%`;
}
