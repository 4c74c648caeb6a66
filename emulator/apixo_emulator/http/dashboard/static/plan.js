// Moves what depends on time: states, bars, ages, countdowns. A task's plan is in its element.
import { now } from "./clock.js";
import { calm, growing, instant, span } from "./words.js";

// Calls `due` when something that was planned has happened, so that the page looks again.
export function move(due) {
  const at = now();
  for (const task of document.querySelectorAll("[data-task]")) if (moveTask(task, at)) due();
  for (const time of document.querySelectorAll("time[data-since]")) {
    write(time, calm(at - Number(time.dataset.since)));
  }
  for (const time of document.querySelectorAll("time[data-until]")) {
    const left = Number(time.dataset.until) - at;
    write(time, left > 0 ? `in ${calm(left)}` : "now");
    if (left <= 0 && !time.dataset.came) {
      time.dataset.came = "yes";
      due();
    }
  }
  for (const moment of document.querySelectorAll(".moments [data-at]")) {
    moment.dataset.past = Number(moment.dataset.at) <= at ? "yes" : "no";
  }
  const text = instant(at);
  for (const clock of document.querySelectorAll("[data-role=clock]")) write(clock, text.slice(11, 19));
  for (const date of document.querySelectorAll("[data-role=date]")) write(date, text);
}

// Gives whether the task's state has changed.
function moveTask(task, at) {
  const { created, starts, ends, fail } = task.dataset;
  const before = task.dataset.state;
  if (before === "success" || before === "failed") return false;
  const whole = Math.max(1, Number(ends) - Number(created));
  const age = at - Number(created);
  if (ends) {
    const progress = clamp((100 * age) / whole);
    set(task.querySelector("[data-role=past]"), progress);
    set(task.querySelector("[data-role=wait]"), Math.min(progress, clamp((100 * (starts - created)) / whole)));
  }
  const took = task.querySelector("[data-role=took]");
  if (took) write(took, !ends ? growing(age) : age >= whole ? span(whole) : `${growing(age)} of ${span(whole)}`);
  const state = ends && at >= Number(ends) ? (fail ? "failed" : "success") : at >= Number(starts) ? "processing" : "pending";
  if (state === before) return false;
  task.dataset.state = state;
  const badge = task.querySelector("[data-role=state]");
  badge.dataset.state = state;
  write(badge, state);
  return true;
}

function clamp(percent) {
  return Math.min(100, Math.max(0, percent)).toFixed(2);
}

function set(bar, width) {
  bar?.setAttribute("width", width);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
