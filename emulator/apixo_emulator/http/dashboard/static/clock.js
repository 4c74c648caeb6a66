// The emulator's clock in the page: an instant that was told, and how fast it goes on from there.
// An answer takes a while to come; less than this is no change of the clock.
const JITTER_MS = 250;

let base = 0, told = 0, rate = 1;

export function now() {
  return base + (performance.now() - told) * rate;
}

export function running() {
  return rate > 0;
}

export function tell(instant, speed) {
  const jitter = JITTER_MS * Math.max(1, speed);
  if (speed === rate && told && speed > 0 && Math.abs(instant - now()) < jitter) return;
  base = instant;
  told = performance.now();
  rate = speed;
}

// The header carries both; it is new with each look at the server.
export function readClock() {
  const element = document.getElementById("clock");
  tell(Number(element.dataset.now), Number(element.dataset.rate));
}
