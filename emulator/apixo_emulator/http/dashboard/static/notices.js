// What a button did, in a sentence; always as text.
import { lookSoon } from "./live.js";

const SHOWN_MS = 5000, SHOWN_BAD_MS = 15000, MOST = 4;

export function notice(text, good = true) {
  const box = document.getElementById("notices");
  const line = document.createElement("div");
  line.className = good ? "notice" : "notice bad";
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "small quiet";
  close.setAttribute("aria-label", "Close");
  close.textContent = "×";
  close.addEventListener("click", () => line.remove());
  line.append(words, close);
  box.append(line);
  while (box.children.length > MOST) box.firstElementChild.remove();
  setTimeout(() => line.remove(), good ? SHOWN_MS : SHOWN_BAD_MS);
}

export function start() {
  document.addEventListener("notice", (event) => {
    notice(event.detail.text, event.detail.good);
    lookSoon();
  });
  document.addEventListener("htmx:response:error", (event) => {
    const { status, headers } = event.detail.ctx.response;
    if (event.target !== document.body && !headers.get("hx-trigger")) notice(`The emulator answers ${status}; its log says why.`, false);
  });
  document.addEventListener("htmx:error", (event) => {
    // Of looks for what is new the header tells.
    if (event.target !== document.body) notice("The emulator does not answer.", false);
  });
}
