// Times as the server writes them.
const S = 1000, MIN = 60 * S, H = 60 * MIN, DAY = 24 * H;

function two(ms, large, largeName, small, smallName) {
  const more = ms % large >= small ? ` ${Math.floor((ms % large) / small)} ${smallName}` : "";
  return `${Math.floor(ms / large)} ${largeName}${more}`;
}

// A duration that is known.
export function span(ms) {
  if (ms < S) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MIN) return `${(ms / S).toFixed(1)} s`.replace(".0 ", " ");
  if (ms < H) return two(ms, MIN, "min", S, "s");
  return ms < DAY ? two(ms, H, "h", MIN, "min") : two(ms, DAY, "d", H, "h");
}

// One that grows: always with its tenth, so that nothing jumps.
export function growing(ms) {
  return ms < MIN ? `${(Math.max(0, ms) / S).toFixed(1)} s` : span(ms);
}

// An age: whole seconds, as tenths would only flicker.
export function calm(ms) {
  return ms < MIN ? `${Math.max(0, Math.floor(ms / S))} s` : span(ms);
}

export function instant(ms) {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}
