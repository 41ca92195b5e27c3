import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent } from '@moraine/contract';
import { loadTokenizer } from '@moraine/data';
import { describe, expect, it } from 'vitest';
import { createEncode } from '../src/encode.js';
import { failureOf, loadBase } from '../src/index.js';
import { refuseNoFile } from '../src/plan-run.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const full = METHODS.full ?? { type: 'none' as const };

describe('the files of a run', () => {
  const encodeWith = async (over_length: 'truncate' | 'drop' | 'error', max_seq_len: number) => {
    const events: AttemptEvent[] = [];
    const { config } = specOf(base, sums, full);
    const options = { ...config, over_length, max_seq_len };
    const encode = createEncode(options, loadBase(base).config, await loadTokenizer(base), (event) =>
      events.push(event),
    );
    return { encode, events };
  };
  const lengths = join(base, 'lengths.jsonl');
  writeFileSync(lengths, [4, 30, 5].map((n) => `${JSON.stringify({ text: 'x'.repeat(n) })}\n`).join(''));

  it('are cut where asked, and that is said once a file with the numbers', async () => {
    const { encode, events } = await encodeWith('truncate', 16);
    expect((await encode('Training file', lengths)).map(({ ids }) => ids.length)).toEqual([5, 16, 6]);
    expect(ofType(events, 'message')).toMatchObject([
      {
        level: 'warn',
        message: 'Training file: 1 rows were cut to the longest length. 3 rows are used.',
        data: { truncated: 1 },
      },
    ]);
  });

  it('lose their long rows where asked', async () => {
    const { encode, events } = await encodeWith('drop', 16);
    expect(await encode('Validation file', lengths)).toHaveLength(2);
    expect(ofType(events, 'message')[0]?.message).toMatch(/^Validation file: 1 rows were longer and left out\. 2 rows/);
  });

  it('are an error of the data where asked, with the line', async () => {
    const { encode } = await encodeWith('error', 16);
    await expect(encode('Training file', lengths)).rejects.toMatchObject({
      code: 'user_data',
      message: expect.stringMatching(/^Line 2: .*31 tokens/),
    });
  });

  it('that fit cause no message', async () => {
    const { encode, events } = await encodeWith('truncate', 32);
    await encode('Training file', lengths);
    expect(events).toEqual([]);
  });

  it('of which no row is left fail the run as the data of the user', async () => {
    const empty = join(base, 'hopeless.jsonl');
    writeFileSync(empty, `${JSON.stringify({ prompt: 'x'.repeat(60), completion: 'y' })}\n`);
    const error: unknown = await runOf(specOf(base, empty, full)).catch((thrown: unknown) => thrown);
    expect(failureOf(error)).toMatchObject({ cause: 'user_data', code: 'user_data', param: 'max_seq_len' });
  });

  it('that are not there, or folders, are refused', () => {
    expect(() => refuseNoFile(sums)).not.toThrow();
    expect(() => refuseNoFile(base)).toThrow(`${base} is a folder, not a file.`);
    const nothing = join(base, 'no.jsonl');
    expect(() => refuseNoFile(nothing)).toThrow(expect.objectContaining({ code: 'not_found' }));
  });
});
