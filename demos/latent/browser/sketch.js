/**
 * A pad to draw on with mouse, pen or finger. It notifies the server after each stroke.
 *
 * The element has `.sketch` with a canvas and buttons with data-color, data-size and data-do, see
 * show_reconstruct.py.
 */

const MOST_UNDO = 30;

/**
 * Activate the pad inside of `element`.
 *
 * @param {HTMLElement} element
 * @param {{trigger: (name: string, data: object) => void}} page `trigger("input", {picture})` is
 *   called after each stroke with a data URL, or with null if nothing is drawn.
 */
export function mount(element, { trigger }) {
  const canvas = element.querySelector("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const undo = [];
  const brush = { color: "#3b82f6", size: 22 };
  let last = null;
  let empty = true;

  const paper = () => {
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const notify = () => trigger("input", { picture: empty ? null : canvas.toDataURL("image/png") });
  const remember = () => {
    const { width, height } = canvas;
    undo.push({ pixels: context.getImageData(0, 0, width, height), empty });
    if (undo.length > MOST_UNDO) undo.shift();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * canvas.width,
      ((event.clientY - box.top) / box.height) * canvas.height,
    ];
  };
  const draw = (event) => {
    const next = place(event);
    context.strokeStyle = brush.color;
    context.lineWidth = brush.size;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
  };
  const dot = () => {
    context.fillStyle = brush.color;
    context.beginPath();
    context.arc(...last, brush.size / 2, 0, 2 * Math.PI);
    context.fill();
  };
  const press = (group, button) => {
    for (const other of element.querySelectorAll(`[data-${group}]`))
      other.setAttribute("aria-pressed", String(other === button));
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    remember();
    empty = false;
    last = place(event);
    dot(); // a line of length 0 draws nothing
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const way = event.getCoalescedEvents?.() ?? [];
    for (const between of way.length ? way : [event]) draw(between);
  });
  const lift = (event) => {
    if (!last || !event.isPrimary) return;
    last = null;
    notify();
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { color, size, do: wish } = button.dataset;
    if (color) {
      brush.color = color;
      press("color", button);
    } else if (size) {
      brush.size = Number(size);
      press("size", button);
    } else if (wish === "fill") {
      remember();
      empty = false;
      context.fillStyle = brush.color;
      context.fillRect(0, 0, canvas.width, canvas.height);
      notify();
    } else if (wish === "clear") {
      remember();
      empty = true;
      paper();
      notify();
    } else if (wish === "undo" && undo.length) {
      const before = undo.pop();
      context.putImageData(before.pixels, 0, 0);
      empty = before.empty;
      notify();
    }
  });
  paper();
  element.querySelector(".sketch").inert = false; // inert until here, since earlier clicks would be lost
}
