// Times as people tell them, with the exact one at hand.

import { element } from "./dom.js";

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const EXACT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const STEPS = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["week", 7 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

export function relative(date, now = new Date()) {
  const seconds = (date - now) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return RELATIVE.format(Math.trunc(seconds / length), unit);
  }
  return "just now";
}

export function exact(date) {
  return EXACT.format(date);
}

export function time(date) {
  return element("time", { datetime: date.toISOString(), title: exact(date) }, relative(date));
}
