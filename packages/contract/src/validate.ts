import { z } from 'zod';
import { AppError, ERROR_CODES, type ErrorCode, refusal } from './errors.js';
import { nearest } from './suggest.js';
import { meantKeys } from './suggest-key.js';

type Path = readonly PropertyKey[];

/** The schema without optional, nullable, default, describe and pipe around it. */
function unwrap(schema: unknown): unknown {
  let inner = schema;
  for (let depth = 0; depth < 20; depth++) {
    if (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault)
      inner = inner.unwrap();
    else if (inner instanceof z.ZodPipe) inner = inner.in;
    else break;
  }
  return inner;
}

/** Names that an object at `path` inside `schema` takes; empty where there is no object. */
function namesAt(schema: z.ZodType, path: Path): string[] {
  let here: unknown = unwrap(schema);
  for (const key of path) {
    if (here instanceof z.ZodObject) here = unwrap((here.shape as Record<PropertyKey, unknown>)[key]);
    else if (here instanceof z.ZodArray) here = unwrap(here.element);
    else return [];
  }
  return here instanceof z.ZodObject ? Object.keys(here.shape as object) : [];
}

function valueAt(input: unknown, path: Path): unknown {
  let here = input;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<PropertyKey, unknown>)[key];
  }
  return here;
}

const dotted = (path: Path): string =>
  path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key)),
    '',
  );

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77).replace(/\p{Surrogate}$/u, '')}...` : text;
};

function refusedAs(params: Record<string, unknown> | undefined): { code: ErrorCode; hint: string } | null {
  const { code, hint } = params ?? {};
  return typeof code === 'string' && code in ERROR_CODES ? refusal(code as ErrorCode, String(hint)) : null;
}

/** The first problem zod found, said so that the caller can fix it: the key, the value that came, and the nearest valid name or value. */
export function toAppError(error: z.ZodError, schema: z.ZodType, input: unknown, where = ''): AppError {
  const issue = error.issues[0];
  if (!issue) return new AppError('invalid_request', 'The request is not valid.', { cause: error });
  const param = dotted(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const valid = namesAt(schema, issue.path);
    const meant = meantKeys(schema, param, key);
    const full = param ? `${param}.${key}` : key;
    return new AppError('unknown_key', `Unknown key '${full}'${where}.`, {
      param: full,
      hint:
        meant.length > 0
          ? `Did you mean ${meant.map((name) => `'${name}'`).join(' or ')}?`
          : valid.length > 0
            ? `Valid keys here: ${valid.join(', ')}.`
            : 'It takes none here.',
      cause: error,
    });
  }
  const said = issue.code === 'custom' ? refusedAs(issue.params) : null;
  if (said) return new AppError(said.code, issue.message, { param, hint: said.hint, cause: error });
  const got = valueAt(input, issue.path);
  if (issue.code === 'invalid_value' && issue.values.length > 0) {
    const near = typeof got === 'string' ? nearest(got, issue.values.map(String)) : null;
    return new AppError(
      'invalid_value',
      `'${param}' is ${show(got)}, which is none of ${issue.values.map(show).join(', ')}.`,
      {
        param,
        hint: near ? `Did you mean ${show(near)}?` : 'Take one of these.',
        cause: error,
      },
    );
  }
  const what = got === undefined ? 'is missing' : `is ${show(got)}`;
  return new AppError('invalid_value', `'${param || 'body'}' ${what}${where}: ${issue.message}.`, {
    param: param || undefined,
    hint: 'Correct this value and send the request again.',
    cause: error,
  });
}

/** Parse or throw an `AppError` that names key, value and fix. */
export function parse<T extends z.ZodType>(schema: T, input: unknown, where = ''): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw toAppError(result.error, schema, input, where);
}
