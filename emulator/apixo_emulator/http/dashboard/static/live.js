// Keeps what is marked `data-live` as the server has it: looks again when it is told to.
import { readClock, tell } from "./clock.js";

// However much happens, a page looks no more often than this.
const PAUSE_MS = 400;
// Other processes on the same store tell nothing.
const FALLBACK_MS = 5000;

let source = null, on = true, looking = false, again = false, timer = 0, last = 0;

export function lookSoon(wait = 0) {
  if (!on || document.hidden) return;
  if (looking) { again = true; return; }
  if (timer) return;
  timer = setTimeout(look, Math.max(wait, PAUSE_MS - (performance.now() - last)));
}

async function look() {
  timer = 0;
  const regions = [...document.querySelectorAll("[data-live]")].map((element) => `#${element.id}:outerMorph`);
  looking = true;
  try {
    await htmx.ajax("GET", location.pathname + location.search, {
      source: document.body, target: document.body, swap: "none", selectOOB: regions.join(","),
    });
    readClock();
  } finally {
    looking = false;
    last = performance.now();
  }
  if (again) { again = false; lookSoon(); }
}

function connect() {
  source = new EventSource(document.body.dataset.liveFrom);
  source.onopen = () => show("Live", true);
  source.onerror = () => show("Offline", false);  // it connects again by itself
  source.onmessage = (event) => {
    const { clock } = JSON.parse(event.data);
    tell(clock.now, clock.rate);
    lookSoon();
  };
}

function check() {
  if (!on || document.hidden) return;
  if (source.readyState === EventSource.CLOSED) connect();  // it was refused, and does not ask again
  else if (source.readyState === EventSource.OPEN) lookSoon();
}

function disconnect() {
  source?.close();
  source = null;
}

function show(text, good) {
  const button = document.getElementById("live");
  button.querySelector("[data-role=live]").textContent = text;
  button.classList.toggle("off", !good);
}

function toggle() {
  on = !on;
  document.getElementById("live").setAttribute("aria-pressed", String(on));
  if (on) { connect(); lookSoon(); } else { disconnect(); show("Paused", false); }
}

export function start() {
  connect();
  setInterval(check, FALLBACK_MS);
  // A browser has few connections to one server; a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    disconnect();
    if (!document.hidden && on) { connect(); lookSoon(); }
  });
  document.getElementById("live").addEventListener("click", toggle);
}
