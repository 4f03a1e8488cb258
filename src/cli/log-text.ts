// Log entries for people: one line each, time and level first, then the sentence, then its fields.

/** pino's numbers of the levels. */
const LEVELS: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };
const PLAIN_VALUE = /^[\w./:@$#+,-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a terminal.
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Makes one line of an entry that pino wrote as JSON. What is no such entry is passed on. */
export function formatLogEntry(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line);
  } catch {
    return line;
  }
  const { level, time, msg, err, ...fields } = entry;
  const parts = [
    new Date(Number(time)).toISOString(),
    (LEVELS[Number(level)] ?? String(level)).padEnd(5),
    escapeControl(String(msg ?? "")),
    ...Object.entries(fields).map(([name, value]) => `${name}=${formatValue(value)}`),
  ];
  return `${parts.join(" ")}${formatError(err, String(msg ?? ""))}\n`;
}

function formatValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return escapeControl(PLAIN_VALUE.test(text) ? text : typeof value === "string" ? JSON.stringify(text) : text);
}

/** Errors with a code are known ones: their message tells enough. Others are mistakes of ours and bring their stack. */
function formatError(err: unknown, message: string): string {
  if (typeof err !== "object" || err === null) return "";
  const { code, message: cause = "", stack } = err as { code?: string; message?: string; stack?: string };
  if (code === undefined) return `\n  ${escapeControl(String(stack ?? cause)).replaceAll("\\n", "\n  ")}`;
  const told = message.includes(cause) ? "" : `: ${escapeControl(cause)}`;
  return ` (${escapeControl(String(code))}${told})`;
}

/** Text from clients must not move the cursor or begin a line. */
function escapeControl(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) => {
    if (character === "\n") return "\\n";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
