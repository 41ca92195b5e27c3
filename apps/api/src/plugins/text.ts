import { AppError } from '@moraine/contract';

/** No request of ours has more than six levels; what goes far beyond would overflow the stack of whoever walks it. */
const DEPTH_MAX = 64;

const HALF_PAIR = /\p{Surrogate}/u;

/** What makes a text one that neither JSON columns nor UTF-8 can hold; null for every other. */
function faultOf(text: string): { what: string; hint: string } | null {
  if (HALF_PAIR.test(text))
    return {
      what: 'half of a surrogate pair, which is no character',
      hint: 'A text was cut inside an emoji: cut it by characters, as [...text].slice(0, 64).join("") does.',
    };
  return text.includes('\0') ? { what: 'the character U+0000, which is not allowed', hint: 'Leave it out.' } : null;
}

/** Refuses a text that cannot be stored. @throws AppError `invalid_value` naming the field. */
export function refuseText(text: string, param: string): void {
  const fault = faultOf(text);
  if (fault) throw new AppError('invalid_value', `'${param}' contains ${fault.what}.`, { param, hint: fault.hint });
}

function refuseKey(key: string, parent: string): void {
  const fault = faultOf(key);
  if (!fault) return;
  throw new AppError('invalid_value', `A key of '${parent || 'body'}' contains ${fault.what}.`, {
    param: parent || undefined,
    hint: fault.hint,
  });
}

/** Refuses such a text anywhere in a value, in its keys too. */
export function refuseTexts(value: unknown): void {
  const waiting: { inner: unknown; path: string; depth: number }[] = [{ inner: value, path: '', depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { inner, path, depth } = next;
    if (typeof inner === 'string') refuseText(inner, path || 'body');
    if (typeof inner !== 'object' || inner === null) continue;
    if (depth > DEPTH_MAX)
      throw new AppError('invalid_request', `The body is nested more than ${DEPTH_MAX} levels deep.`, {
        hint: 'See /docs for what this route takes.',
      });
    const isList = Array.isArray(inner);
    for (const [key, item] of Object.entries(inner)) {
      if (!isList) refuseKey(key, path);
      const at = isList ? `${path}[${key}]` : path ? `${path}.${key}` : key;
      waiting.push({ inner: item, path: at, depth: depth + 1 });
    }
  }
}
