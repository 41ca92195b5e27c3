/** A part of an OpenAPI document, as it was written. */
type Json = Record<string, unknown>;

export interface Document {
  paths: Record<string, Record<string, Json>>;
  components?: { schemas?: Record<string, Json> };
}

export interface Operation {
  method: string;
  /** Of the reference, e.g. `/files/{file_id}`. */
  path: string;
}

export interface Outcome {
  /** Properties, parameters, values and statuses that were looked at. */
  checks: number;
  /** What differs, each a line that is the same as long as the difference is. */
  differences: string[];
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const jsonOf = (value: unknown): Json => (isJson(value) ? value : {});
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
/** Zod writes the limits of whole numbers as bounds; they are none. */
const SAFE = Number.MAX_SAFE_INTEGER;

/** Follows references. @throws Error for one that leads nowhere. */
function resolve(document: Document, node: unknown): Json {
  let here = jsonOf(node);
  while (typeof here.$ref === 'string') {
    const name = here.$ref.split('/').at(-1) ?? '';
    const next = document.components?.schemas?.[name];
    if (!next) throw new Error(`${here.$ref} leads nowhere.`);
    here = next;
  }
  return here;
}

/** A schema as the simple ones that a value may match: unions and lists of types taken apart, `allOf` put together. */
function alternativesOf(document: Document, node: unknown): Json[] {
  const schema = resolve(document, node);
  const all = listOf(schema.allOf);
  if (all.length > 0) {
    const { allOf: _, ...rest } = schema;
    return alternativesOf(document, Object.assign({}, ...all.map((one) => resolve(document, one)), rest));
  }
  const union = [...listOf(schema.anyOf), ...listOf(schema.oneOf)];
  const nullable: Json[] = schema.nullable === true ? [{ type: 'null' }] : [];
  if (union.length > 0) return [...union.flatMap((one) => alternativesOf(document, one)), ...nullable];
  if (Array.isArray(schema.type)) return schema.type.map((type) => ({ ...schema, type: String(type) }));
  return [schema, ...nullable];
}

function typeOf(schema: Json): string {
  if (typeof schema.type === 'string') return schema.type;
  if ('properties' in schema) return 'object';
  if ('const' in schema || 'enum' in schema) return typeof (schema.const ?? listOf(schema.enum)[0]);
  return 'any';
}

const fits = (wide: string, narrow: string): boolean =>
  wide === 'any' || wide === narrow || (wide === 'number' && narrow === 'integer');

const wordsOf = (schema: Json): unknown[] | null =>
  'const' in schema ? [schema.const] : Array.isArray(schema.enum) ? schema.enum : null;

const BOUNDS = [
  ['minimum', 1],
  ['maximum', -1],
  ['minLength', 1],
  ['maxLength', -1],
  ['minItems', 1],
  ['maxItems', -1],
] as const;

/** Compares two documents, one operation at a time. */
export function createComparison(ours: Document, theirs: Document) {
  const outcome: Outcome = { checks: 0, differences: [] };
  const differ = (where: string, what: string): void => {
    if (!outcome.differences.includes(`${where}: ${what}`)) outcome.differences.push(`${where}: ${what}`);
  };

  /** Says where a value of `narrow` is none of `wide`. */
  const covers = (wideIn: Document, wide: unknown, narrowIn: Document, narrow: unknown, where: string): void => {
    const wides = alternativesOf(wideIn, wide);
    for (const one of alternativesOf(narrowIn, narrow)) {
      outcome.checks++;
      const type = typeOf(one);
      const words = wordsOf(one);
      const candidates = wides.filter((other) => type === 'any' || fits(typeOf(other), type));
      // Of several of one type, the one that has the same words or properties is meant.
      const [match] = candidates.toSorted((a, b) => likeness(b, one) - likeness(a, one));
      if (!match) {
        differ(where, `${words ? words.join(', ') : type} is not ${wideIn === ours ? 'taken' : 'expected'}`);
        continue;
      }
      compareWords(match, one, candidates, where);
      compareBounds(match, one, where);
      if (type === 'array') covers(wideIn, match.items, narrowIn, one.items, `${where}[]`);
      if (type === 'object') compareObjects(wideIn, match, narrowIn, one, where);
    }
  };

  const compareWords = (wide: Json, narrow: Json, candidates: Json[], where: string): void => {
    const words = wordsOf(narrow);
    if (candidates.some((one) => wordsOf(one) === null)) return;
    const known = candidates.flatMap((one) => wordsOf(one) ?? []);
    const missing = words?.filter((word) => !known.includes(word)) ?? [];
    if (words === null) differ(where, `only ${listOf(wordsOf(wide)).join(', ')}`);
    else if (missing.length > 0) differ(where, `not ${missing.join(', ')}`);
  };

  const compareBounds = (wide: Json, narrow: Json, where: string): void => {
    for (const [bound, sign] of BOUNDS) {
      const limit = wide[bound];
      if (typeof limit !== 'number' || Math.abs(limit) >= SAFE || wordsOf(narrow)) continue;
      outcome.checks++;
      const has = narrow[bound];
      if (typeof has !== 'number' || sign * has < sign * limit) differ(where, `${bound} ${limit}`);
    }
  };

  const compareObjects = (wideIn: Document, wide: Json, narrowIn: Document, narrow: Json, where: string): void => {
    const known = jsonOf(wide.properties);
    const given = jsonOf(narrow.properties);
    const at = (name: string): string => (where.endsWith(' ') ? `${where}${name}` : `${where}.${name}`);
    for (const name of listOf(wide.required).map(String)) {
      outcome.checks++;
      if (!listOf(narrow.required).includes(name)) differ(at(name), wideIn === ours ? 'is required' : 'may be missing');
    }
    for (const [name, schema] of Object.entries(given)) {
      if (name in known) covers(wideIn, known[name], narrowIn, schema, at(name));
      else if (wide.additionalProperties === false) {
        outcome.checks++;
        differ(at(name), 'is refused');
      }
    }
  };

  const compareParameters = (mine: Json, reference: Json, where: string): void => {
    const own = listOf(mine.parameters).map((one) => resolve(ours, one));
    for (const one of listOf(reference.parameters).map((parameter) => resolve(theirs, parameter))) {
      if (one.in !== 'query') continue;
      outcome.checks++;
      const name = String(one.name);
      const match = own.find((other) => other.name === name && other.in === 'query');
      if (!match) differ(`${where} query ${name}`, 'is refused');
      else {
        covers(ours, match.schema, theirs, one.schema, `${where} query ${name}`);
        const preset = resolve(theirs, one.schema).default;
        if (preset !== undefined && resolve(ours, match.schema).default !== preset)
          differ(`${where} query ${name}`, `default is not ${String(preset)}`);
      }
    }
    for (const one of own) {
      const isTheirs = listOf(reference.parameters).some((other) => resolve(theirs, other).name === one.name);
      if (one.in === 'query' && one.required === true && !isTheirs)
        differ(`${where} query ${String(one.name)}`, 'is required');
    }
  };

  const compareBody = (mine: Json, reference: Json, where: string): void => {
    for (const [type, content] of Object.entries(jsonOf(jsonOf(reference.requestBody).content))) {
      outcome.checks++;
      const match = jsonOf(jsonOf(mine.requestBody).content)[type];
      if (!match) differ(`${where} body`, `${type} is not taken`);
      else covers(ours, flatForm(type, ours, match), theirs, flatForm(type, theirs, content), `${where} body `);
    }
    if (isJson(mine.requestBody) && mine.requestBody.required === true && !isJson(reference.requestBody))
      differ(`${where} body`, 'is required');
  };

  const compareAnswers = (mine: Json, reference: Json, where: string): void => {
    for (const [status, answer] of Object.entries(jsonOf(reference.responses))) {
      outcome.checks++;
      const match = jsonOf(mine.responses)[status];
      if (!match) differ(`${where} answer`, `there is no ${status}`);
      else {
        const [theirSchema, ourSchema] = [answer, match].map(
          (one) => jsonOf(Object.values(jsonOf(jsonOf(one).content))[0]).schema,
        );
        if (theirSchema) covers(theirs, theirSchema, ours, ourSchema, `${where} answer `);
      }
    }
  };

  return {
    compare({ method, path }: Operation): void {
      const where = `${method} ${path}`;
      const reference = theirs.paths[path]?.[method.toLowerCase()];
      if (!reference) throw new Error(`The reference has no ${where}.`);
      outcome.checks++;
      const plain = (one: string): string => one.replaceAll(/\{[^}]*\}/g, '{}');
      const found = Object.entries(ours.paths).find(([own]) => plain(own) === plain(`/v1${path}`));
      const mine = found?.[1][method.toLowerCase()];
      if (!mine) differ(where, 'is not there');
      else for (const check of [compareParameters, compareBody, compareAnswers]) check(mine, reference, where);
    },
    outcome,
  };
}

/** How much two schemas of one type have in common. */
function likeness(a: Json, b: Json): number {
  const [words, others] = [wordsOf(a), wordsOf(b)];
  if (words && others) return others.filter((word) => words.includes(word)).length + 1;
  if (words || others) return 0;
  const names = Object.keys(jsonOf(a.properties));
  return 1 + Object.keys(jsonOf(b.properties)).filter((name) => names.includes(name)).length;
}

/** The schema of a body. In a form, the keys of an object are fields of their own: `expires_after[seconds]`; they are text, and files are any bytes. */
function flatForm(type: string, document: Document, content: unknown): unknown {
  const { schema } = jsonOf(content);
  if (type !== 'multipart/form-data') return schema;
  const form = resolve(document, schema);
  const properties: Json = {};
  for (const [name, field] of Object.entries(jsonOf(form.properties))) {
    const inner = resolve(document, field);
    if (typeOf(inner) !== 'object')
      properties[name] = inner.format === 'binary' || 'contentEncoding' in inner ? {} : inner;
    else for (const [key, part] of Object.entries(jsonOf(inner.properties))) properties[`${name}[${key}]`] = part;
  }
  return { ...form, type: 'object', properties };
}
