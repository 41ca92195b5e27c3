import { describe, expect, test } from 'vitest';
import { accept, choose, openRow, type Row } from '../src/generation/rows.js';
import { chain, createConstraint, createJsonGrammar, createVocabulary, oneOf, type Place } from '../src/index.js';
import { createRandom } from '../src/random.js';

// Every byte is a token, as byte-level vocabularies have it, and these are too; id 0 is the end token, which writes nothing.
const PIECES = [
  ...[
    '{"',
    '":',
    '": ',
    '", "',
    '"}',
    '}}',
    '"]}',
    '[{',
    '{}',
    ' [',
    '\n  ',
    '  ',
    'true',
    'nul',
    'l,',
    '0.5',
    '12',
    '-1e',
    '+3',
  ],
  ...[
    '\\u00',
    '\\"',
    'é',
    'name',
    'value of',
    '",',
    ',"',
    '}]',
    '😀',
    '{"a":1}',
    '"a":[1,2',
    '😀"}',
    '<call>',
    'red',
    '</call>',
  ],
];
const encoder = new TextEncoder();
const TOKENS = [
  null,
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[
    ...PIECES.map((piece) => encoder.encode(piece)),
    encoder.encode('"→').subarray(0, 3),
    encoder.encode('→').subarray(1),
  ],
];
const vocabulary = createVocabulary(TOKENS.length, (id) => TOKENS[id] ?? null);
const textOf = (ids: readonly number[]): Buffer => Buffer.concat(ids.map((id) => TOKENS[id] ?? new Uint8Array()));
const json = createJsonGrammar();

const step = (begin: Place, text: string | Uint8Array): Place | null =>
  [...Buffer.from(text)].reduce<Place | null>((place, byte) => place?.step(byte) ?? null, begin);

/** An answer drawn from scores that know nothing, under a constraint. */
function draw(seed: number, begin: Place, { temperature = 1, topP = 1, topK = 0, maxNewTokens = 4_000 } = {}): Row {
  const options = {
    ...{ temperature, topP, topK, maxNewTokens, seed, stopIds: [0] },
    constrain: () => createConstraint(vocabulary, begin),
  };
  const row = openRow([1], options);
  const random = createRandom(seed);
  // Closing brackets are likely, so that answers end.
  const isClosing = TOKENS.map((bytes) => /^["\]}]+$/.test(Buffer.from(bytes ?? []).toString()));
  while (row.finishReason === null) {
    const logits = Float32Array.from(TOKENS, (_, id) => random() * 8 + (isClosing[id] ? 4 : 0));
    accept(row, choose(row, logits, options), options, 1e6);
  }
  return row;
}

describe('one object of JSON', () => {
  test.each([
    '{}',
    ' \n{"a": [1, -0.5e+7, true, null, {"é": "\\u00e9\\n→😀"}], "": {"b":[]}}',
    '{"a":[[],[[0]],"x\\\\"]}',
  ])('%j is one, and ends there', (text) => {
    const end = step(json, text);
    expect(end?.isEnd).toBe(true);
    expect(step(json, `${text} `)).toBe(null);
    for (let i = 1; i < text.length; i++) expect(step(json, text.slice(0, i))?.isEnd ?? false).toBe(false);
  });

  test.each([
    ...[
      '[',
      '"',
      'x',
      '{a',
      '{,',
      '{"a",',
      '{"a":}',
      '{"a":1,}',
      '{"a":[1,]',
      '{"a":[,',
      '{"a":01',
      '{"a":+1',
      '{"a":1.}',
    ],
    ...[
      '{"a":.5',
      '{"a":-}',
      '{"a":1e}',
      '{"a":tru}',
      '{"a":1]',
      '{"a":[1}',
      '{"a":"\n',
      '{"a":"\\x',
      '{"a":"\\u00g',
      '{"a" 1',
    ],
    ...['{"a":1 2', "{'a'", '{"a":"b""'],
  ])('%j is none', (text) => {
    expect(step(json, text)).toBe(null);
    expect(() => JSON.parse(text)).toThrow();
  });

  test.each([
    ['a lone byte of a letter', [0xe9, 0x22]],
    ['a byte that begins none', [0x80]],
    ['two bytes for one', [0xc0, 0xaf]],
    ['half of a pair', [0xed, 0xa0, 0x80]],
    ['beyond the last letter', [0xf4, 0x90, 0x80, 0x80]],
  ])('%s is no letter', (_, bytes) => {
    expect(step(json, Uint8Array.of(...Buffer.from('{"'), ...bytes))).toBe(null);
  });

  test('white space and depth have an end', () => {
    expect(step(json, `{${' '.repeat(64)}}`)?.isEnd).toBe(true);
    expect(step(json, `{${' '.repeat(65)}`)).toBe(null);
    expect(step(json, `{"a":${'['.repeat(63)}${']'.repeat(63)}}`)?.isEnd).toBe(true);
    expect(step(json, `{"a":${'['.repeat(64)}`)).toBe(null);
  });
});

test('a mask has the tokens whose every byte can follow, and no other', () => {
  for (const text of [
    '',
    '{',
    '{"',
    '{"a',
    '{"a\\',
    '{"a\\u0',
    '{"a"',
    '{"a":',
    '{"a":[1',
    '{"a":{"b":"c"',
    '{"a":t',
    '{"\u00e9',
  ].map((t) => Buffer.from(t))) {
    const at = step(json, text);
    if (at === null) throw new Error(`${text} is a beginning`);
    const expected = TOKENS.map((bytes) => (bytes !== null && step(at, bytes) !== null ? 1 : 0));
    expect([...vocabulary.maskAt(at)]).toEqual(expected);
    expect(expected).toContain(1);
  }
});

test('whatever the sampler draws, an answer that ends by itself is an object', () => {
  const reasons = { stop: 0, length: 0, cancelled: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const row = draw(seed, json, {
      temperature: 0.5 + (seed % 4),
      topP: seed % 3 === 0 ? 0.9 : 1,
      topK: seed % 5 === 0 ? 20 : 0,
      maxNewTokens: 400,
    });
    reasons[row.finishReason ?? 'cancelled'] += 1;
    const text = new TextDecoder('utf-8', { fatal: row.finishReason === 'stop' }).decode(textOf(row.ids));
    if (row.finishReason === 'stop') expect(typeof JSON.parse(text)).toBe('object');
    else expect(row.ids).toHaveLength(400);
  }
  expect(reasons.stop).toBeGreaterThan(30);
});

test('a chain of texts and an object is written whole, one text of several first', () => {
  const begin = chain([oneOf(['<call>red: ', '<call>reddish: ']), json, oneOf(['</call>'])]);
  const said = Array.from({ length: 20 }, (_, seed) => textOf(draw(seed, begin).ids).toString());
  for (const text of said)
    expect(() => JSON.parse(/^<call>red(?:dish)?: ([\s\S]*)<\/call>$/.exec(text)?.[1] ?? '')).not.toThrow();
  expect(new Set(said.map((text) => text.indexOf(':'))).size).toBe(2);
});

test('a vocabulary that lacks what must follow is refused, not read beyond', () => {
  const poor = createVocabulary(2, (id) => encoder.encode(id === 0 ? '{' : 'x'));
  const options = { maxNewTokens: 5, constrain: () => createConstraint(poor, json) };
  const row = openRow([1], options);
  accept(row, choose(row, Float32Array.of(0, 9), options), options, 100);
  expect(row.ids).toEqual([0]);
  expect(() => choose(row, Float32Array.of(0, 9), options)).toThrow('No token of the vocabulary can go on');
});
