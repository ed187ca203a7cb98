/** Small parts that the room's scripts share. */

/**
 * Make an element.
 * @param {string} tag
 * @param {Object<string, *>} [attributes] `class`, `text`, `style.--name`, or any attribute
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @param {number} share 0 to 1 @returns {string} such as "12.3 %" */
export function percent(share) {
  if (share === 0) return "0 %";
  if (share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** @param {string} text base64 @returns {ArrayBuffer} */
export function unpack(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

/** A number with commas, as everywhere in the gallery. */
export const count = (number) => number.toLocaleString("en");

/**
 * Let one of many elements be chosen, by pointing or with the arrow keys. One of them can be
 * reached with Tab, as a group of radio buttons.
 * @param {HTMLElement} group holds the elements, in order
 * @param {(index: number) => void} onChoose
 * @returns {(index: number) => void} marks one as chosen, without a call of onChoose
 */
export function chooseOne(group, onChoose) {
  const items = () => [...group.children];
  const mark = (index) =>
    items().forEach((item, i) => {
      item.setAttribute("role", "radio");
      item.setAttribute("aria-checked", String(i === index));
      item.tabIndex = i === index ? 0 : -1;
    });
  const choose = (index) => {
    const item = items()[index];
    if (!item) return;
    mark(index);
    item.focus();
    onChoose(index);
  };
  group.setAttribute("role", "radiogroup");
  group.addEventListener("click", (event) => {
    const item = items().find((one) => one.contains(event.target));
    if (item) choose(items().indexOf(item));
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = items().indexOf(document.activeElement);
    const to = { Home: 0, End: group.children.length - 1 }[event.key] ?? at + step;
    if (at < 0 || !Number.isInteger(to)) return;
    event.preventDefault();
    choose(to);
  });
  return mark;
}
