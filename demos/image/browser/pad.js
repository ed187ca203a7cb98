/**
 * A pad with a picture on it, to draw on and to mark a part on, with mouse, pen or finger.
 *
 * The element holds `.pad` with three canvases (the picture, paint, marks), and buttons with
 * data-color, data-size and data-do, as show_change.py writes them. Nothing is sent to the server
 * until somebody calls `take`.
 */

const MOST_UNDO = 12;
const MARKER = "#d946ef"; // solid; the page lets the marks' canvas shine through

/**
 * Make the pad inside of `element` work. It can then be reached as `element.querySelector(".pad").pad`.
 *
 * @param {HTMLElement} element
 */
export function mount(element) {
  const pad = element.querySelector(".pad");
  const layers = [...pad.querySelectorAll("canvas")];
  const [ground, paint, marks] = layers.map((canvas) => canvas.getContext("2d"));
  const { width, height } = layers[0];
  const top = layers[2];
  const undo = [];
  const brush = { color: pad.querySelector("[data-color][aria-pressed=true]").dataset.color, size: 40 };
  let marking = false;
  let erasing = false;
  let empty = true; // nothing on it but paper
  let marked = false;
  let last = null;

  const wipe = (context) => context.clearRect(0, 0, width, height);
  const paper = () => {
    ground.fillStyle = "#ffffff";
    ground.fillRect(0, 0, width, height);
  };
  const copy = (canvas) => {
    const kept = document.createElement("canvas");
    Object.assign(kept, { width, height });
    kept.getContext("2d").drawImage(canvas, 0, 0);
    return kept;
  };
  const remember = () => {
    undo.push({ layers: layers.map(copy), empty, marked });
    if (undo.length > MOST_UNDO) undo.shift();
  };
  const goBack = () => {
    const before = undo.pop();
    if (!before) return;
    [ground, paint, marks].forEach((context, index) => {
      wipe(context);
      context.drawImage(before.layers[index], 0, 0);
    });
    ({ empty, marked } = before);
  };
  const place = (event) => {
    const box = top.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ];
  };
  const draw = (event) => {
    const next = place(event);
    const context = marking ? marks : paint;
    context.globalCompositeOperation = erasing ? "destination-out" : "source-over";
    context.strokeStyle = marking ? MARKER : brush.color;
    context.lineWidth = brush.size;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(last ?? next));
    context.lineTo(...next);
    context.stroke(); // with round caps, a line of no length is a dot
    context.globalCompositeOperation = "source-over";
    last = next;
  };
  const press = (chosen, group) => {
    for (const button of pad.querySelectorAll(group))
      button.setAttribute("aria-pressed", String(button === chosen));
  };

  top.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    top.setPointerCapture(event.pointerId);
    remember();
    if (marking) marked ||= !erasing;
    else empty &&= erasing;
    draw(event);
  });
  top.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const way = event.getCoalescedEvents?.() ?? [];
    for (const between of way.length ? way : [event]) draw(between);
  });
  const lift = () => (last = null);
  top.addEventListener("pointerup", lift);
  top.addEventListener("pointercancel", lift);

  pad.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { color, size, do: wish } = button.dataset;
    if (color) {
      brush.color = color;
      erasing = false;
      press(button, "[data-color], [data-do=erase]");
    } else if (size) {
      brush.size = Number(size);
      press(button, "[data-size]");
    } else if (wish === "erase") {
      erasing = !erasing;
      button.setAttribute("aria-pressed", String(erasing));
    } else if (wish === "undo") {
      goBack();
    } else if (wish === "clear") {
      remember();
      wipe(marks);
      marked = false;
      if (marking) return;
      wipe(paint);
      paper();
      empty = true;
    }
  });

  /** Let the brush mark a part instead of painting, or paint again. */
  const mark = (on) => {
    marking = on;
    erasing = false;
    pad.classList.toggle("marking", on);
    press(null, "[data-do=erase]");
  };
  /** Put the picture at `url` on the pad, under nothing; Undo brings back what was there. */
  const lay = async (url) => {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    remember();
    for (const context of [ground, paint, marks]) wipe(context);
    ground.drawImage(picture, 0, 0, width, height);
    empty = false;
    marked = false;
  };
  /** Return the picture with its paint, and the marks: PNG data URLs, or "" for nothing. */
  const take = () => {
    const whole = copy(layers[0]);
    whole.getContext("2d").drawImage(layers[1], 0, 0);
    return [empty ? "" : whole.toDataURL("image/png"), marked ? top.toDataURL("image/png") : ""];
  };
  pad.pad = { mark, lay, take };
  paper();
  lay(pad.dataset.start).then(() => {
    undo.splice(0);
    pad.inert = false; // what was clicked earlier would be lost
  });
}
