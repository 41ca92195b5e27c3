/** Half of a surrogate pair. */
const HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * The value with what Postgres cannot store, U+0000 and halves of surrogate pairs, replaced by U+FFFD in every text. For what comes from rows,
 * models and errors, which nobody can be asked to write otherwise; requests with such letters are refused.
 */
export function storable<T>(value: T): T {
  if (typeof value === 'string') return value.replaceAll('\u0000', '\ufffd').replace(HALF, '\ufffd') as T;
  if (Array.isArray(value)) return value.map(storable) as T;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [storable(key), storable(of)])) as T;
}
