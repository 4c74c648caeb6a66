// Starts what a page needs.
import { readClock } from "./clock.js";
import * as copying from "./copy.js";
import * as filter from "./filter.js";
import * as live from "./live.js";
import * as notices from "./notices.js";
import { move } from "./plan.js";

const TICK_MS = 100;
// What was planned has just happened: the server needs a moment to make more of it.
const AFTER_MS = 150;

readClock();
for (const part of [copying, filter, live, notices]) part.start();
setInterval(() => {
  if (!document.hidden) move(() => live.lookSoon(AFTER_MS));
}, TICK_MS);
