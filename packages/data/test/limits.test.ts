import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadBaseTokenizer } from '../src/check-tokenizer.js';
import { encodeNamed } from '../src/encode-named.js';
import { limitTime } from '../src/limit-time.js';
import { previewFile } from '../src/preview-file.js';
import { openTokenizer } from '../src/tokenizer.js';

// What a user brings runs here too: templates, patterns, numbers. None of it may run for ever, or take all memory.

const base = join(import.meta.dirname, '../../../examples/base');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moraine-limits-'));
});

/** The shipped tokenizer with other files. */
const reader = (changes: Record<string, string>) => async (name: string) =>
  changes[name] ?? (await readFile(join(base, name), 'utf8').catch(() => null));
const withTemplate = (template: string) => reader({ 'chat_template.jinja': template });

const NESTED = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';
/** A pattern that looks at every way to cut a row of one letter. */
async function endlessPattern() {
  const json = JSON.parse(await readFile(join(base, 'tokenizer.json'), 'utf8'));
  const pattern = { Regex: '(?:a+)+!' };
  const split = { type: 'Split', pattern, behavior: 'Isolated', invert: false };
  json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split, json.pre_tokenizer] };
  return reader({ 'tokenizer.json': JSON.stringify(json) });
}

test.each<[string, () => unknown]>([
  [
    'a loop',
    () => {
      for (;;);
    },
  ],
  [
    'a loop that catches everything',
    () => {
      for (;;)
        try {
          throw 1;
        } catch {}
    },
  ],
  ['a pattern', () => /^(a+)+$/.test(`${'a'.repeat(60)}b`)],
  ['a power of whole numbers', () => (10n ** 400n) ** 160_000n],
])('%s is ended when its time is up, and what comes after works', (_what, work) => {
  expect(() => limitTime(100, work)).toThrow('takes longer than 0.1 s');
  expect(limitTime(10_000, () => 5)).toBe(5);
  expect(() => limitTime(10_000, () => JSON.parse('{'))).toThrow(SyntaxError);
});

describe('a row that the template or the tokenizer never ends on', () => {
  const ROWS = ['one', 'two', 'aaaa', 'four'];
  const slowOn = (text: string) =>
    withTemplate(
      `{% if messages[0].content == '${text}' %}${NESTED}{% endif %}{{ messages[0].content }}{{ messages[1].content }}`,
    );
  const file = async (rows: readonly string[]) => {
    const path = join(dir, `rows-${rows.join('').length}.jsonl`);
    await writeFile(path, rows.map((prompt) => JSON.stringify({ prompt, completion: 'x' })).join('\n'));
    return path;
  };

  test('ends the encoding with the file, the line and the template, as a fault of the data', async () => {
    const tokenizer = await openTokenizer(slowOn('aaaa'));
    const encoding = encodeNamed('Training file', await file(ROWS), tokenizer, { maxSeqLen: 64, rowMsMax: 200 });
    await expect(encoding).rejects.toMatchObject({
      code: 'user_data',
      message: expect.stringMatching(
        /^Training file: Line 3: The base's chat template takes longer than .* s for this row\.$/,
      ),
    });
  });

  test('names the tokenizer where that is it', async () => {
    const tokenizer = await openTokenizer(await endlessPattern());
    const rows = await file(['one', 'a'.repeat(60)]);
    await expect(encodeNamed('Training file', rows, tokenizer, { maxSeqLen: 64, rowMsMax: 200 })).rejects.toMatchObject(
      {
        code: 'user_data',
        message: expect.stringMatching(/^Training file: Line 2: The base's tokenizer takes longer/),
      },
    );
  });

  test('ends a preview with the line', async () => {
    const tokenizer = await openTokenizer(slowOn('two'));
    const options = { after: 0, lines: 9, maxSeqLen: 64, tokensMax: 10, msMax: 1_000, rowMsMax: 200 };
    await expect(previewFile(await file(ROWS), tokenizer, options)).rejects.toMatchObject({
      code: 'user_data',
      message: expect.stringMatching(/^Line 2: The base's chat template takes longer than 0\.2 s/),
    });
  });

  test('is no matter for rows before and after it that take their time together', async () => {
    const short = '{% for a in range(20000) %}{% endfor %}{{ messages[0].content }}{{ messages[1].content }}';
    const tokenizer = await openTokenizer(withTemplate(short));
    const { report } = await encodeNamed('Training file', await file(Array(60).fill('one')), tokenizer, {
      maxSeqLen: 64,
      rowMsMax: 5_000,
    });
    expect(report.rows).toBe(60);
  });
});

test('a base whose template never ends is refused by that', async () => {
  const loading = loadBaseTokenizer(withTemplate(NESTED), 1_024);
  await expect(loading).rejects.toMatchObject({
    code: 'invalid_base',
    param: 'chat_template',
    message: "The base's chat template takes longer than 5 s for a conversation of three messages.",
  });
});

test.each([
  [
    'a text that doubles',
    "{% set ns = namespace(s='x' * 1000) %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    /text of \d+ letters/,
  ],
  ['a text repeated', "{{ 'x' * (10 ** 12) }}", /text of 1000000000000 letters/],
  ['letters replaced by more', "{{ ('x' * 60000) | replace('x', 'y' * 60000) }}", /text of \d+ letters/],
  ['letters joined by more', "{{ ('x' * 60000) | list | join('y' * 60000) }}", /text of \d+ letters/],
  ['a margin', "{{ 'a' | indent(10 ** 11, true) }}", /text of 100000000000 letters/],
  ['a width', "{{ '%999999999d' % 5 }}", /text of 999999999 letters/],
  ['zeros in front', "{{ '5'.zfill(10 ** 11) }}", /text of 100000000000 letters/],
  [
    'a list that doubles',
    '{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}',
    /list of \d+ items/,
  ],
  ['a list repeated', '{{ [1] * (10 ** 11) }}', /list of 100000000000 items/],
  ['a power', '{{ 10 ** 99999 }}', /number of more than 65536 bits/],
  ['a power of a power', '{{ (10 ** 400) ** 160000 }}', /number of more than 65536 bits/],
  [
    'a product that doubles',
    '{% set ns = namespace(n=99) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}',
    /number of more/,
  ],
  [
    'an output of many texts',
    "{% set s = 'x' * 60000 %}{% for i in range(99999) %}{{ s }}{% endfor %}",
    /text of \d+ letters/,
  ],
  ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', /goes beyond what can be made/],
])('a template that makes %s is refused before it is made', async (_what, source, says) => {
  const { chatTemplate } = await openTokenizer(withTemplate(source));
  const before = process.memoryUsage.rss();
  expect(() => chatTemplate.render([{ role: 'user', content: 'x' }])).toThrow(says);
  expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 2 ** 20);
});
