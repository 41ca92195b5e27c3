/** Files that models and adapters come with nest some levels; what goes far beyond overflows the stack of whoever walks or writes it. */
export const JSON_DEPTH_MAX = 100;

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Whether a JSON text nests deeper than `depthMax`, found without building anything from it. */
export function isNestedDeeper(text: string, depthMax = JSON_DEPTH_MAX): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const letter = text.charCodeAt(i);
    if (letter === QUOTE) i = endOfString(text, i);
    else if (letter === OPEN_OBJECT || letter === OPEN_LIST) depth++;
    else if (letter === CLOSE_OBJECT || letter === CLOSE_LIST) depth--;
    if (depth > depthMax) return true;
  }
  return false;
}

/** The place of the quote that closes the string which opens at `at`. */
function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const letter = text.charCodeAt(i);
    if (letter === BACKSLASH) i++;
    else if (letter === QUOTE) return i;
  }
  return text.length;
}
