import { z } from 'zod';
import { AppError, ERROR_CODES, type ErrorCode, refusal } from './errors.js';
import { nearest } from './suggest.js';
import { formOf } from './suggest-form.js';
import { meantKeys, partsOf } from './suggest-key.js';

type Path = readonly PropertyKey[];

/** The schemas at `path` inside `schema`. */
function schemasAt(schema: z.ZodType, path: Path): unknown[] {
  let here = partsOf(schema);
  for (const key of path)
    here = here.flatMap((part) => {
      if (part instanceof z.ZodObject) return partsOf((part.shape as Record<PropertyKey, unknown>)[key]);
      return part instanceof z.ZodArray ? partsOf(part.element) : [];
    });
  return here;
}

/** Names that objects of some schemas take; empty where there is no object. */
const namesOf = (schemas: readonly unknown[]): string[] => [
  ...new Set(schemas.flatMap((part) => (part instanceof z.ZodObject ? Object.keys(part.shape as object) : []))),
];

type Issue = z.core.$ZodIssue;

/** An unknown key before the others: where `modle` was written, it says more than that `model` is missing. */
const firstOf = (issues: readonly Issue[]): Issue | undefined =>
  issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];

/**
 * What is wrong with a value that no schema of a union takes: what the one finds that takes values of its kind, or else what kinds are taken.
 * Of `{file: "a"}` where a text or `{file_id}` may stand that is the unknown key `file`.
 */
function withoutUnion(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const isOfKind = (found: readonly Issue[]): boolean =>
    !found.some(({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_value'));
  const inner = firstOf(issue.errors.find((found) => found.length > 0 && isOfKind(found)) ?? []);
  if (inner) return withoutUnion({ ...inner, path: [...issue.path, ...inner.path] });
  const kinds = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(show) : [];
  const taken = issue.errors.flatMap(([found]) => {
    if (found?.code === 'invalid_value') return found.values.map(show);
    return found?.code === 'invalid_type' ? [found.expected] : [];
  });
  return { ...issue, message: `it must be ${[...new Set([...taken, ...kinds])].join(' or ') || 'something else'}` };
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

/** Of an entry of a list: what stands elsewhere in a request is hardly meant there. */
const nearIn = (valid: readonly string[], key: string, param: string): string[] => {
  const near = nearest(key, valid);
  return near === null ? [] : [`${param}.${near}`];
};

/** What to write where an object or a list must stand and something simpler came; null where neither must. */
function formHint(schemas: readonly unknown[], got: unknown, { code }: Issue): string | null {
  if (code !== 'invalid_type' && code !== 'invalid_union') return null;
  const form = formOf(schemas, got);
  if (form !== undefined) return `Write ${show(form)}.`;
  const names = code === 'invalid_type' ? namesOf(schemas) : [];
  return names.length === 0 ? null : `Write an object with keys of these: ${names.join(', ')}.`;
}

/** The first problem zod found, said so that the caller can fix it: the key, the value that came, and the nearest valid name or value. */
export function toAppError(error: z.ZodError, schema: z.ZodType, input: unknown, where = ''): AppError {
  const first = firstOf(error.issues);
  if (!first) return new AppError('invalid_request', 'The request is not valid.', { cause: error });
  const issue = withoutUnion(first);
  const param = dotted(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const valid = namesOf(schemasAt(schema, issue.path));
    const meant = param.endsWith(']') ? nearIn(valid, key, param) : meantKeys(schema, param, key);
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
  const form = got === undefined ? null : formHint(schemasAt(schema, issue.path), got, issue);
  const what = got === undefined ? 'is missing' : `is ${show(got)}`;
  return new AppError('invalid_value', `'${param || 'body'}' ${what}${where}: ${issue.message}.`, {
    param: param || undefined,
    hint: form ?? 'Correct this value and send the request again.',
    cause: error,
  });
}

/** Parse or throw an `AppError` that names key, value and fix. */
export function parse<T extends z.ZodType>(schema: T, input: unknown, where = ''): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw toAppError(result.error, schema, input, where);
}
