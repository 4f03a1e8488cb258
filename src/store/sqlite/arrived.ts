// The text of column `arrived`: UTC, YYYY-MM-DD HH:MM:SS.mmm. Compares in time order as text.

/** The latest time that four digits of a year can tell, in ms since the epoch. */
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

let lastTime = Number.NaN;
let lastText = "";

/** From ms since the epoch; what lies outside the years 1970 to 9999 is moved to their ends. */
export function arrivedText(time: number): string {
  if (time !== lastTime) {
    const bounded = Math.min(LATEST, Math.max(0, time || 0));
    lastText = new Date(bounded).toISOString().slice(0, -1).replace("T", " ");
    lastTime = time;
  }
  return lastText;
}

let lastParsedText = "";
let lastParsedTime = 0;

/** To ms since the epoch; 0 for a text that is no time. */
export function arrivedTime(text: string): number {
  if (text !== lastParsedText) {
    const time = Date.parse(`${text.replace(" ", "T")}Z`);
    lastParsedTime = Number.isNaN(time) ? 0 : time;
    lastParsedText = text;
  }
  return lastParsedTime;
}
