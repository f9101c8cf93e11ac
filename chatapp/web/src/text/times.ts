import { dayOf } from "../store/layout";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
// Without AM and PM: it stands in the narrow gutter.
const SHORT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const DAY = 86_400_000_000;

/** All take microseconds, as the server gives them. */
export const clock = (at: number): string => CLOCK.format(at / 1000);
export const shortClock = (at: number): string => SHORT.format(at / 1000);
export const full = (at: number): string => FULL.format(at / 1000);
export const date = (at: number): string => DATE.format(at / 1000);
export const iso = (at: number): string => new Date(at / 1000).toISOString();

/** "Today", "Yesterday", or the date. */
export function dayName(at: number, now = Date.now() * 1000): string {
  if (dayOf(at) === dayOf(now)) return "Today";
  if (dayOf(at) === dayOf(now - DAY)) return "Yesterday";
  return now - at < 300 * DAY ? WEEKDAY.format(at / 1000) : DATE.format(at / 1000);
}
