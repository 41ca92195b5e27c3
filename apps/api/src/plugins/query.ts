import { AppError } from '@moraine/contract';
import { forbidden } from './forbidden.js';

const decode = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '));

/** Name and value of each piece of a query string, as they were written. */
const piecesOf = (text: string): [name: string, value: string][] =>
  text
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const at = piece.indexOf('=');
      return at < 0 ? [piece, ''] : [piece.slice(0, at), piece.slice(at + 1)];
    });

const isDecodable = (text: string): boolean => {
  try {
    decode(text);
    return true;
  } catch {
    return false;
  }
};

/** Refuses bytes that are no UTF-8, such as half of a surrogate pair, and names that no route reads. @throws AppError naming the key. */
export function refuseQuery(url: string): void {
  const start = url.indexOf('?');
  if (start < 0) return;
  for (const [name, value] of piecesOf(url.slice(start + 1))) {
    const param = isDecodable(name) ? decode(name) : undefined;
    if (param === undefined || !isDecodable(value)) {
      throw new AppError('invalid_request', `Malformed percent-encoding in the URL${param ? ` at '${param}'` : ''}.`, {
        param,
        hint: 'Encode the bytes of valid UTF-8, as encodeURIComponent does.',
      });
    }
    refuseName(param);
  }
}

/** What would be passed over, or be read as another key than it says, would filter nothing. */
function refuseName(name: string): void {
  const [outer, inner] = partsOf(name) ?? [name, ''];
  if (outer === '__proto__' || inner === '__proto__') throw forbidden('query', name);
  if (!inner.includes('][')) return;
  throw new AppError('invalid_request', `'${name}' is nested twice: one key in brackets is read.`, {
    param: outer,
    hint: `Write ${outer}[key]=value.`,
  });
}

/** `a[b]` as `a` and `b`; null for a plain name. */
function partsOf(name: string): [outer: string, inner: string] | null {
  const [, outer, inner] = /^([^[\]]+)\[(.+)\]$/s.exec(name) ?? [];
  return outer === undefined || inner === undefined ? null : [outer, inner];
}

/**
 * A query string as an object: `a=1` is text, `a[b]=1` an object inside, and what comes twice a list, which no route takes. Never throws,
 * because the router calls it where nobody catches; `refuseQuery` comes first.
 */
export function parseQuery(text: string): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null);
  const put = (target: Record<string, unknown>, key: string, value: unknown): void => {
    target[key] = key in target ? [target[key], value].flat() : value;
  };
  for (const [name, value] of piecesOf(text)) {
    if (!isDecodable(name) || !isDecodable(value)) continue;
    const [outer, inner] = partsOf(decode(name)) ?? [decode(name)];
    if (inner === undefined) put(query, outer, decode(value));
    else if (isPlain(query[outer])) put(query[outer], inner, decode(value));
    else put(query, outer, Object.assign(Object.create(null), { [inner]: decode(value) }));
  }
  return query;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
