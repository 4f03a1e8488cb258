// Topics and client ids that begin or end with blanks, in a way that can be seen.

/** In quotes, with ␠ for each blank at its ends, where it has any; else as it is. */
export function visibleName(name: string): string {
  if (name !== "" && name === name.trim()) return name;
  const shown = name.replaceAll(/^\s+|\s+$/g, (blanks) => "␠".repeat(blanks.length));
  return `“${shown}”`;
}
