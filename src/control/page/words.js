// Figures and times as people read them.

const numbers = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A number with separators between its thousands. */
export const number = (value) => numbers.format(value);

/** How many of something: "1 session", "3 sessions". */
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** The time of day of a moment in milliseconds. */
export const timeOfDay = (moment) => clock.format(moment);

/** A duration in seconds, with its two largest units: "4 m 12 s". */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const units = [["d", Math.floor(whole / 86400)], ["h", Math.floor(whole / 3600) % 24], ["m", Math.floor(whole / 60) % 60], ["s", whole % 60]];
  const first = units.findIndex(([, value]) => value > 0);
  if (first < 0) return "0 s";
  const shown = units.slice(first, first + 2).filter(([, value], place) => place === 0 || value > 0);
  return shown.map(([unit, value]) => `${value} ${unit}`).join(" ");
}

/** Items as a sentence has them: "a, b and c". */
export function list(items) {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}
