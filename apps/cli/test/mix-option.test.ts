import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Arguments } from '../src/args.js';
import { mixEntries } from '../src/mix-option.js';
import { sharesOf } from '../src/mix-shares.js';
import { withOptions } from '../src/request-options.js';

const argsOf = (...mix: string[]): Arguments => ({
  options: {},
  repeated: mix.length > 0 ? { mix } : {},
  positionals: [],
});
const one = (text: string) => mixEntries(argsOf(text))?.[0];

describe('--mix', () => {
  it.each([
    ['old.jsonl', { file_id: 'old.jsonl', weight: 1, role: 'target' }],
    ['old.jsonl:0.25', { file_id: 'old.jsonl', weight: 0.25, role: 'target' }],
    ['a/old.jsonl:2:source', { file_id: 'a/old.jsonl', weight: 2, role: 'source' }],
    ['file-abc:source', { file_id: 'file-abc', weight: 1, role: 'source' }],
  ])('reads %s', (text, entry) => {
    expect(one(text)).toEqual(entry);
  });

  it('reads names with colons of files that are there', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'moraine-mix-')), 'a:1.jsonl');
    writeFileSync(file, '');
    expect(one(file)).toEqual({ file_id: file, weight: 1, role: 'target' });
    expect(one(`${file}:3`)).toEqual({ file_id: file, weight: 3, role: 'target' });
    expect(one(`${file}:3:source`)).toEqual({ file_id: file, weight: 3, role: 'source' });
  });

  it.each([
    ['old.jsonl:0:source', /a weight is a number above 0/],
    ['old.jsonl:much', /a weight is a number above 0/],
    ['old.jsonl:sorce', /Did you mean 'source'/],
    ['old.jsonl:1:2', /a weight is a number above 0/],
    ['old.jsonl:', /a weight is a number above 0/],
  ])('refuses %s and says how it is written', (text, hint) => {
    expect(() => one(text)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining(text),
        hint: expect.stringMatching(hint),
      }),
    );
  });

  it('given several times stands for the data_mix of a request, before that of the file', () => {
    const written = { data_mix: [{ file_id: 'file-1' }] };
    expect(withOptions(written, argsOf())).toEqual(written);
    expect(withOptions(written, argsOf('a.jsonl', 'b.jsonl:2:source')).data_mix).toEqual([
      { file_id: 'a.jsonl', weight: 1, role: 'target' },
      { file_id: 'b.jsonl', weight: 2, role: 'source' },
    ]);
  });
});

it('the shares of a mix are a sentence each, of its files alone', () => {
  const file = {
    file_id: 'file-1',
    param: 'training_file',
    rows_read: 1,
    is_whole: true,
    rows: 1,
    tokens: 1,
    warnings: [],
  };
  const rest = { supervised_tokens: 1, longest_tokens: 1 };
  const mix = { role: 'source' as const, weight: 1, rows_share: 0.5, tokens_share: 0.25, passes: 2 };
  expect(
    sharesOf([
      { ...file, ...rest },
      { ...file, ...rest, mix },
    ]),
  ).toEqual(['training_file (file-1): source, 50 % of the rows and 25 % of the tokens; a row is shown 2 times.']);
  expect(sharesOf(undefined)).toEqual([]);
});
