import { z } from 'zod';
import { nearest } from './suggest.js';
import { partsOf } from './suggest-key.js';

/**
 * The object or the list that was probably meant by a value that stands alone: `{"type": "adamw"}` by `"adamw"`, `["q_proj"]` by `"q_proj"`.
 * Undefined where there is none, or several may be meant.
 */
export function formOf(schemas: readonly unknown[], value: unknown): unknown {
  for (const schema of schemas) {
    const form = schema instanceof z.ZodObject ? objectOf(schema, value) : listOf(schema, value);
    if (form !== undefined) return form;
  }
  return undefined;
}

/** An object of one key: the type, or the only one that takes the value. */
function objectOf(schema: z.ZodObject, value: unknown): object | undefined {
  if (typeof value === 'object') return undefined;
  const taking = Object.keys(schema.shape)
    .map((key) => ({ [key]: value }))
    .filter((one) => schema.safeParse(one).success);
  const type = taking.find((one) => 'type' in one) ?? nearestType(schema, value);
  return type ?? (taking.length === 1 ? taking[0] : undefined);
}

/** The type whose name is nearest to a text. */
function nearestType(schema: z.ZodObject, value: unknown): object | undefined {
  const names = partsOf(schema.shape.type).flatMap((part) =>
    part instanceof z.ZodEnum ? part.options.map(String) : [],
  );
  const near = typeof value === 'string' ? nearest(value, names) : null;
  return near === null || !schema.safeParse({ type: near }).success ? undefined : { type: near };
}

function listOf(schema: unknown, value: unknown): unknown[] | undefined {
  if (!(schema instanceof z.ZodArray)) return undefined;
  if (schema.safeParse([value]).success) return [value];
  const inner = formOf(partsOf(schema.element), value);
  return inner === undefined ? undefined : [inner];
}
