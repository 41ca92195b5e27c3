// Texts as Python's own methods change them, where a prompt is compared letter by letter.

/** White space in Python that is none in JavaScript. The mark of a byte order is the other way round. */
const MORE_SPACE = '\u001c\u001d\u001e\u001f\u0085';

const isSpace = (letter: string): boolean => (/\s/.test(letter) && letter !== '\ufeff') || MORE_SPACE.includes(letter);

/** `str.rstrip()` */
export function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** `str.strip()` */
export function strip(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charAt(start))) start += 1;
  return stripEnd(text.slice(start));
}

/** `str.capitalize()`: the first letter in upper case, all others in lower case. */
export function capitalize(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}
