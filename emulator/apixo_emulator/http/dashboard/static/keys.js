// Shortcuts, which a person can switch off.
import { toggle } from "./live.js";

const TOGETHER_MS = 1200;
let led = -TOGETHER_MS;

function isOn() {
  try { return localStorage.getItem("keys") !== "off"; } catch { return true; }
}

function typing(target) {
  return target.closest?.("input, textarea, select, dialog[open]") || target.isContentEditable;
}

function row(step) {
  const links = [...document.querySelectorAll("a.row-link")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))].focus();
}

const ACTIONS = {
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => document.getElementById("keys").showModal(),
  j: () => row(1),
  k: () => row(-1),
  p: toggle,
};

export function start() {
  const dialog = document.getElementById("keys");
  const box = document.getElementById("keys-on");
  box.checked = isOn();
  box.addEventListener("change", () => {
    try { localStorage.setItem("keys", box.checked ? "on" : "off"); } catch { /* on, then */ }
  });
  document.getElementById("help").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !isOn() || typing(event.target)) return;
    if (event.timeStamp - led < TOGETHER_MS) {
      led = -TOGETHER_MS;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
    } else if (event.key === "g") {
      led = event.timeStamp;
    } else if (Object.hasOwn(ACTIONS, event.key)) {
      event.preventDefault();
      ACTIONS[event.key]();
    }
  });
}
