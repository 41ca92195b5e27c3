import { describe, expect, test } from 'vitest';
import { createComparison, type Document } from '../compare.js';
import { matchNamed } from '../named.js';

type Schema = Record<string, unknown>;
const json = (schema: Schema) => ({ content: { 'application/json': { schema } } });
const object = (properties: Record<string, Schema>, required: string[] = [], rest: Schema = {}): Schema => ({
  type: 'object',
  properties,
  required,
  ...rest,
});

interface Part {
  body?: Schema;
  answer?: Schema;
  query?: Schema[];
  schemas?: Record<string, Schema>;
}

/** A document with one operation. */
const documentOf = (path: string, { body, answer, query, schemas = {} }: Part): Document => ({
  paths: {
    [path]: {
      post: {
        ...(body && { requestBody: json(body) }),
        ...(query && { parameters: query }),
        responses: { 200: answer ? json(answer) : {} },
      },
    },
  },
  components: { schemas },
});

function differencesOf(ours: Part, theirs: Part): string[] {
  const comparison = createComparison(documentOf('/v1/things/{id}', ours), documentOf('/things/{thing_id}', theirs));
  comparison.compare({ method: 'POST', path: '/things/{thing_id}' });
  return comparison.outcome.differences.map((line) => line.replace('POST /things/{thing_id} ', ''));
}

const text = { type: 'string' };
const nothing = { type: 'null' };

describe('a body', () => {
  const differs = (ours: Schema, theirs: Schema) => differencesOf({ body: ours }, { body: theirs });

  test('is taken where ours takes all that theirs allows, and more', () => {
    const theirs = object({ a: text, n: { type: 'integer', minimum: 1, maximum: 9 } }, ['a']);
    const ours = object({ a: { anyOf: [text, nothing] }, n: { type: 'number', maximum: 10 }, own: text }, [], {
      additionalProperties: false,
    });
    expect(differs(ours, theirs)).toEqual([]);
  });

  test.each<[string, Schema, Schema, string]>([
    ['another type', object({ a: text }), object({ a: { type: 'integer' } }), 'body a: integer is not taken'],
    ['null', object({ a: text }), object({ a: { ...text, nullable: true } }), 'body a: null is not taken'],
    ['a word', object({ a: { enum: ['x'] } }), object({ a: { enum: ['x', 'y'] } }), 'body a: not y'],
    ['any word', object({ a: { enum: ['x'], ...text } }), object({ a: text }), 'body a: only x'],
    ['a key', object({}, [], { additionalProperties: false }), object({ a: text }), 'body a: is refused'],
    ['less', object({ a: text }, ['a']), object({ a: text }), 'body a: is required'],
    ['a bound', object({ a: { ...text, maxLength: 5 } }), object({ a: text }), 'body a: maxLength 5'],
    [
      'a part',
      object({ a: { type: 'array', items: text } }),
      object({ a: { type: 'array', items: nothing } }),
      'body a[]: null is not taken',
    ],
  ])('that is refused for %s is a difference', (_what, ours, theirs, difference) => {
    expect(differs(ours, theirs)).toEqual([difference]);
  });

  test('of another kind is one, and form fields of an object are fields of their own', () => {
    const form = (schema: Schema): Document => {
      const document = documentOf('/v1/f', {});
      document.paths['/v1/f'] = {
        post: { requestBody: { content: { 'multipart/form-data': { schema } } }, responses: {} },
      };
      return document;
    };
    const theirs = form(object({ file: { ...text, format: 'binary' }, after: object({ s: { type: 'integer' } }) }));
    theirs.paths['/f'] = theirs.paths['/v1/f'] ?? {};
    const compare = (ours: Document): string[] => {
      const comparison = createComparison(ours, theirs);
      comparison.compare({ method: 'POST', path: '/f' });
      return comparison.outcome.differences;
    };
    const closed = { additionalProperties: false };
    const file = { ...text, format: 'binary', contentEncoding: 'binary' };
    expect(compare(form(object({ file, 'after[s]': { type: 'integer' } }, [], closed)))).toEqual([]);
    expect(compare(form(object({ file }, [], closed)))).toEqual(['POST /f body after[s]: is refused']);
    expect(compare(documentOf('/v1/f', { body: text }))).toContain('POST /f body: multipart/form-data is not taken');
  });
});

describe('an answer', () => {
  const differs = (ours: Schema, theirs: Schema) => differencesOf({ answer: ours }, { answer: theirs });

  test('may hold keys of our own, and null only where theirs has it', () => {
    const theirs = object({ id: text, at: { type: 'integer' } }, ['id']);
    expect(differs(object({ id: text, at: { type: 'integer' }, own: nothing }, ['id']), theirs)).toEqual([]);
    expect(differs(object({ id: text, at: { anyOf: [{ type: 'integer' }, nothing] } }, ['id']), theirs)).toEqual([
      'answer at: null is not expected',
    ]);
    expect(differs(object({ id: text }), theirs)).toEqual(['answer id: may be missing']);
  });

  test('follows references and what is put together, and finds the schema of a union that is meant', () => {
    const schemas = { Base: object({ id: text }, ['id']), Words: { enum: ['a', 'b'] } };
    const theirs = { allOf: [{ $ref: '#/components/schemas/Base' }, { nullable: true }] };
    expect(
      differencesOf({ answer: { $ref: '#/components/schemas/Base' }, schemas }, { answer: theirs, schemas }),
    ).toEqual([]);
    const union = { oneOf: [{ enum: ['auto'], type: 'string' }, { type: 'integer' }] };
    expect(differs(object({ n: { anyOf: [{ type: 'integer' }, { const: 'auto' }] } }), object({ n: union }))).toEqual(
      [],
    );
    expect(differs(object({ n: { const: 'never' } }), object({ n: union }))).toEqual(['answer n: not never']);
  });
});

test('a query parameter must be there with the same default, and none of our own may be required', () => {
  const query = (name: string, schema: Schema, required = false) => ({ name, in: 'query', schema, required });
  const theirs = { query: [query('limit', { type: 'integer', default: 20 }), query('order', text)] };
  const ours = { query: [query('limit', { type: 'integer', default: 10 }), query('own', text, true)] };
  expect(differencesOf(ours, theirs)).toEqual([
    'query limit: default is not 20',
    'query order: is refused',
    'query own: is required',
  ]);
});

test('an operation that is not there is one difference, and one that the reference lacks is a mistake', () => {
  const comparison = createComparison(documentOf('/v1/other', {}), documentOf('/things', {}));
  comparison.compare({ method: 'POST', path: '/things' });
  expect(comparison.outcome.differences).toEqual(['POST /things: is not there']);
  expect(() => comparison.compare({ method: 'GET', path: '/things' })).toThrow('The reference has no GET /things.');
});

test('a page names differences by pattern; what it does not name and what is none any more are found', () => {
  const page =
    '| difference | why |\n|---|---|\n| `* answer *at: null is not expected` | x |\n| `POST /a query n: *` | y |\n';
  const lines = ['GET /a answer data[].at: null is not expected', 'POST /a body n: is refused'];
  expect(matchNamed(lines, page)).toEqual({ unnamed: [lines[1]], gone: ['POST /a query n: *'] });
});
