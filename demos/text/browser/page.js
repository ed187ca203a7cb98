/** The page that is being written: tokens to colour and to click, and the branches of a text. */

const SHELL = `
<div class="paper" tabindex="-1"></div>
<div class="page-row">
  <label><input type="checkbox" class="page-colour"> Show how sure it was <small>(dark: sure)</small></label>
  <button type="button" class="store-button page-copy">Copy</button>
  <button type="button" class="store-button page-text">Download the text</button>
  <button type="button" class="store-button page-record">… with its recipe</button>
  <span class="page-said" role="status"></span>
</div>
<div class="page-branches" role="group" aria-label="Ways that the text went"></div>
<div class="page-choice" hidden></div>`;
const HINT = "Click a word: what else could have stood there?";

/** @returns {HTMLElement} */
function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Hands out a file that is made here. */
function hand(name, text, type) {
  const link = make("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Makes spaces and line ends of a token visible. */
function reveal(text) {
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ +| +$/g, (s) => "␣".repeat(s.length)) || "·";
}

function percent(share) {
  if (share >= 0.9995) return "100 %";
  return share < 0.001 ? "under 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

export function mount(element, { trigger, watch, props }) {
  element.innerHTML = SHELL;
  const find = (selector) => element.querySelector(selector);
  const paper = find(".paper");
  const choice = find(".page-choice");
  const colour = find(".page-colour");
  let story = null;
  let spans = [];
  let chosen = -1;

  function span(token, place) {
    const [, text, probability] = token;
    const made = make("span", text, "token");
    made.dataset.place = place;
    made.style.setProperty("--share", `${Math.round(55 * probability)}%`);
    made.title = `${reveal(text)} · ${percent(probability)}`;
    if (place === story.taken) made.classList.add("taken");
    return made;
  }

  /** Draws only what is new while a text grows. */
  function take() {
    const before = story;
    try {
      story = JSON.parse(props.value || "null");
    } catch {
      return;
    }
    element.classList.toggle("page-empty", !story);
    if (!story) return;
    const grows =
      before &&
      before.prompt === story.prompt &&
      before.current === story.current &&
      before.clipped === story.clipped &&
      before.tokens.length <= story.tokens.length &&
      before.tokens.every(([id], place) => id === story.tokens[place][0]);
    if (!grows) {
      chosen = -1;
      choice.hidden = true;
      find(".page-said").textContent = HINT;
      spans = [];
      const prompt = make("span", story.prompt.slice(story.clipped), "prompt");
      const cut = story.clipped ? [make("span", story.prompt.slice(0, story.clipped), "prompt unread")] : [];
      paper.replaceChildren(...cut, prompt, make("span", "", "cursor"));
    }
    paper.querySelector(".ending")?.remove();
    const cursor = paper.querySelector(".cursor");
    for (let place = spans.length; place < story.tokens.length; place += 1) {
      spans.push(span(story.tokens[place], place));
      cursor.before(spans[place]);
    }
    for (const [place, one] of spans.entries()) one.tabIndex = place === Math.max(chosen, 0) ? 0 : -1;
    if (story.over) cursor.before(make("span", " ∎ the model ends here", "ending"));
    paper.scrollTop = grows ? paper.scrollHeight : 0;
    layBranches();
  }

  function layBranches() {
    const buttons = story.branches.map((note, number) => {
      const button = make("button", `${number + 1} · ${note}`, "store-button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(number === story.current));
      button.addEventListener("click", () => trigger("expand", { branch: number }));
      return button;
    });
    find(".page-branches").replaceChildren(...(buttons.length > 1 ? buttons : []));
  }

  function choose(place) {
    chosen = place;
    for (const [number, one] of spans.entries()) {
      one.classList.toggle("chosen", number === place);
      one.tabIndex = number === place ? 0 : -1;
    }
    const [id, text, probability, alternatives] = story.tokens[place];
    const head = make("p", undefined, "page-asked");
    head.append("Here stands ", make("b", reveal(text)), `, with ${percent(probability)}. `);
    head.append("The likeliest were these. ");
    if (!story.still) head.append("Choose another, and the text branches there.");
    const most = Math.max(...alternatives.map(([, , share]) => share), 1e-9);
    const rows = alternatives.map(([other, word, share]) => {
      const button = make("button", undefined, "page-option");
      button.type = "button";
      button.style.setProperty("--bar", `${(100 * share) / most}%`);
      button.append(make("span", reveal(word)), make("span", percent(share)));
      button.disabled = story.still || other === id;
      if (other === id) button.title = "This one stands there";
      button.addEventListener("click", () => trigger("select", { place, id: other }));
      return button;
    });
    if (!alternatives.some(([other]) => other === id))
      head.append(" What was drawn is not even among them.");
    choice.replaceChildren(head, ...rows);
    choice.hidden = false;
  }

  paper.addEventListener("click", (event) => {
    const one = event.target.closest(".token");
    if (one) choose(Number(one.dataset.place));
  });
  paper.addEventListener("keydown", (event) => {
    const one = event.target.closest(".token");
    if (!one) return;
    const place = Number(one.dataset.place);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(place);
    else if (step && spans[place + step]) {
      one.tabIndex = -1;
      spans[place + step].tabIndex = 0;
      spans[place + step].focus();
    } else return;
    event.preventDefault();
  });
  colour.addEventListener("change", () => paper.classList.toggle("coloured", colour.checked));
  const whole = () => (story ? story.prompt + story.tokens.map(([, one]) => one).join("") : "");
  const name = () => {
    const { model = "text", seed = 0 } = story?.recipe ?? {};
    return `${model.replaceAll("/", "-")}-${seed}`;
  };
  find(".page-text").addEventListener("click", () => hand(`${name()}.txt`, whole(), "text/plain"));
  find(".page-record").addEventListener("click", () => {
    const record = JSON.stringify({ text: whole(), recipe: story?.recipe }, null, 2);
    hand(`${name()}.json`, record, "application/json");
  });
  find(".page-copy").addEventListener("click", async () => {
    const text = whole();
    let said = "Copied.";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(paper);
      said = "Your browser does not let a page copy: the text is marked, press Ctrl and C.";
    }
    find(".page-said").textContent = said;
  });
  find(".page-said").textContent = HINT;
  watch("value", take);
  take();
}
