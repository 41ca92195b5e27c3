import { type Arguments, Float, orElse, TemplateError, typeName, Undefined, type Value } from './values.js';

/** Arguments in the order of their names; undefined where none was given. @throws TemplateError for one too many, one given twice or an unknown name. */
export function bind({ args, named }: Arguments, names: readonly string[], of: string): (Value | undefined)[] {
  if (args.length > names.length) {
    throw new TemplateError(`${of}() takes ${names.length} arguments but ${args.length} were given`);
  }
  const unknown = [...named.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TemplateError(`${of}() got an unexpected keyword argument '${unknown}'`);
  const twice = names.slice(0, args.length).find((name) => named.has(name));
  if (twice !== undefined) throw new TemplateError(`${of}() got multiple values for argument '${twice}'`);
  return names.map((name, i) => orElse(args[i], named.get(name)));
}

export function needText(value: Value | undefined, of: string): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(`${of} takes a str, not '${value === undefined ? 'nothing' : typeName(value)}'`);
}

/** A text, or null where none was given or it is none. */
export const optionalText = (value: Value | undefined, of: string): string | null =>
  value === undefined || value === null ? null : needText(value, of);

/** A whole number as JavaScript counts. */
export function needInt(value: Value | undefined, otherwise: number, of: string): number {
  if (value === undefined) return otherwise;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw new TemplateError(`${of} takes an int, not '${typeName(value)}'`);
}

export function needNumber(value: Value | undefined, of: string): bigint | Float {
  if (typeof value === 'bigint' || value instanceof Float) return value;
  if (typeof value === 'boolean') return BigInt(value);
  throw new TemplateError(`${of} takes a number, not '${value === undefined ? 'nothing' : typeName(value)}'`);
}

/** The number of items; texts count whole letters. @throws TemplateError for what has none. */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return /[\ud800-\udfff]/.test(value) ? [...value].length : value.length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}
