import { AppError } from '@moraine/contract';

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

/** Refuses bytes that are no UTF-8, such as half of a surrogate pair. @throws AppError naming the key. */
export function refuseQuery(url: string): void {
  const start = url.indexOf('?');
  if (start < 0) return;
  for (const [name, value] of piecesOf(url.slice(start + 1))) {
    if (isDecodable(name) && isDecodable(value)) continue;
    const param = isDecodable(name) ? decode(name) : undefined;
    throw new AppError('invalid_request', `Malformed percent-encoding in the URL${param ? ` at '${param}'` : ''}.`, {
      param,
      hint: 'Encode the bytes of valid UTF-8, as encodeURIComponent does.',
    });
  }
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
    const [, outer, inner] = /^([^[\]]+)\[(.+)\]$/s.exec(decode(name)) ?? [];
    if (outer === undefined || inner === undefined) put(query, decode(name), decode(value));
    else if (isPlain(query[outer])) put(query[outer], inner, decode(value));
    else put(query, outer, Object.assign(Object.create(null), { [inner]: decode(value) }));
  }
  return query;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
