// Buttons that copy the text of another element.
import { notice } from "./notices.js";

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without TLS on another machine there is no clipboard but this.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not allow it");
}

export function start() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await copy(document.getElementById(button.dataset.copy).textContent);
      notice("Copied.");
    } catch (error) {
      notice(`It cannot be copied: ${error.message}`, false);
    }
  });
}
