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

/** An object or a list in a body, and where it is. */
interface Place {
  value: object;
  key: string | number;
  above: Place | null;
  depth: number;
}

/** `adapter.target_modules[2]`; made where something is wrong only, because a body has many places. */
function pathOf(above: Place | null, key: string | number): string {
  const before = above === null ? '' : pathOf(above.above, above.key);
  return typeof key === 'number' ? `${before}[${key}]` : before === '' ? key : `${before}.${key}`;
}

/** Refuses such a text anywhere in a value, in its keys too. */
export function refuseTexts(value: unknown): void {
  const waiting: Place[] = [];
  const look = (item: unknown, key: string | number, above: Place | null): void => {
    if (typeof item === 'string') {
      if (faultOf(item)) refuseText(item, pathOf(above, key) || 'body');
    } else if (typeof item === 'object' && item !== null)
      waiting.push({ value: item, key, above, depth: above === null ? 0 : above.depth + 1 });
  };
  look(value, '', null);
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    if (place.depth > DEPTH_MAX)
      throw new AppError('invalid_request', `The body is nested more than ${DEPTH_MAX} levels deep.`, {
        hint: 'See /docs for what this route takes.',
      });
    if (Array.isArray(place.value)) for (const [i, item] of place.value.entries()) look(item, i, place);
    else
      for (const [key, item] of Object.entries(place.value)) {
        if (faultOf(key)) refuseKey(key, pathOf(place.above, place.key));
        look(item, key, place);
      }
  }
}
