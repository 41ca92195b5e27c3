import { AppError } from '@moraine/contract';

const SHOWN_LENGTH_MAX = 200;

/** The refusal of a key that JavaScript reads as what an object comes from, and libraries therefore pass over. */
export function forbidden(where: 'query' | 'body', key: string): AppError {
  const shown = key.slice(-SHOWN_LENGTH_MAX);
  return new AppError('invalid_request', `The ${where} has the key '${shown}', which is not allowed.`, {
    param: shown,
    hint: 'Give it another name.',
  });
}

/** Where in a value the first key is that no body may have: `__proto__`, or `prototype` in a `constructor`; null where there is none. */
export function findForbidden(value: unknown): string | null {
  const waiting: { inner: unknown; path: string }[] = [{ inner: value, path: '' }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { inner, path } = next;
    if (typeof inner !== 'object' || inner === null) continue;
    for (const [key, of] of Object.entries(inner)) {
      const at = Array.isArray(inner) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
      if (key === '__proto__') return at;
      if (key === 'constructor' && typeof of === 'object' && of !== null && Object.hasOwn(of, 'prototype'))
        return `${at}.prototype`;
      waiting.push({ inner: of, path: at });
    }
  }
  return null;
}
