import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent } from '@moraine/contract';
import { loadTokenizer } from '@moraine/data';
import { describe, expect, it } from 'vitest';
import type { Control } from '../src/control.js';
import { createEncode, StoppedEncoding } from '../src/encode.js';
import { describeReport, failureOf, leftOut } from '../src/index.js';
import { refuseNoFile } from '../src/plan-run.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const full = METHODS.full ?? { type: 'none' as const };

describe('the files of a run', () => {
  const encodeWith = async (
    over_length: 'truncate' | 'drop' | 'error',
    max_seq_len: number,
    stopRequested: Control['stopRequested'] = () => null,
  ) => {
    const events: AttemptEvent[] = [];
    const { config } = specOf(base, sums, full);
    const options = { ...config, over_length, max_seq_len };
    const encode = createEncode({
      config: options,
      tokenizer: await loadTokenizer(base),
      emit: (event) => events.push(event),
      control: { stopRequested },
    });
    return { encode, events };
  };
  const lengths = join(base, 'lengths.jsonl');
  writeFileSync(lengths, [4, 30, 5].map((n) => `${JSON.stringify({ text: 'x'.repeat(n) })}\n`).join(''));

  it('are cut where asked, and that is said once a file with the numbers', async () => {
    const { encode, events } = await encodeWith('truncate', 16);
    expect((await encode.training('Training file', lengths)).map(({ ids }) => ids.length)).toEqual([5, 16, 6]);
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
    expect(await encode.scored('Validation file', lengths)).toHaveLength(2);
    expect(ofType(events, 'message')[0]?.message).toMatch(
      /^Validation file: 1 rows were longer and left out \(first in line 2\)\. 2 rows/,
    );
  });

  it('are compared: rows of a file that repeat, and rows of the others that are in the training file', async () => {
    const rows = (...texts: string[]): string => texts.map((text) => JSON.stringify({ text })).join('\n');
    const [first, second] = [join(base, 'first.jsonl'), join(base, 'second.jsonl')];
    writeFileSync(first, rows('a', 'b', 'a'));
    writeFileSync(second, rows('c', 'b', 'c', 'a'));
    const { encode, events } = await encodeWith('truncate', 16);
    expect(await encode.training('Training file', first)).toHaveLength(3);
    await encode.scored('Validation file', second);
    await encode.scored('Evaluation file', second);
    const seen = (label: string): string[] => [
      `${label}: 1 rows repeat an earlier one word for word (first in line 3, as in line 1).`,
      `${label}: 2 rows are in the training file too, word for word: on them a run is scored for what it was shown (first in line 2).`,
    ];
    expect(ofType(events, 'message').map(({ message }) => message)).toEqual([
      ...seen('Training file').slice(0, 1),
      ...seen('Validation file'),
      ...seen('Evaluation file'),
    ]);
  });

  it('are an error of the data where asked, with the line', async () => {
    const { encode } = await encodeWith('error', 16);
    await expect(encode.training('Training file', lengths)).rejects.toMatchObject({
      code: 'user_data',
      message: expect.stringMatching(/^Training file: Line 2: .*31 tokens/),
    });
  });

  it('that fit cause no message', async () => {
    const { encode, events } = await encodeWith('truncate', 32);
    await encode.training('Training file', lengths);
    expect(events).toEqual([]);
  });

  it('are named where they are unusable, whichever file it is', async () => {
    const { encode } = await encodeWith('truncate', 16);
    const bad = join(base, 'bad.jsonl');
    writeFileSync(bad, '{"text":"a"}\n{"txt":"b"}\n');
    await expect(encode.scored('Evaluation file sums', bad)).rejects.toMatchObject({
      code: 'invalid_file',
      message: "Evaluation file sums: Line 2: 'txt' is no key of a row.",
    });
  });

  it('are left at once when the run is to stop', async () => {
    const many = join(base, 'many.jsonl');
    writeFileSync(many, `${JSON.stringify({ prompt: 'count '.repeat(200), completion: 'yes' })}\n`.repeat(20_000));
    const begun = performance.now();
    const { encode } = await encodeWith('truncate', 4096, () => 'cancel');
    await expect(encode.training('Training file', many)).rejects.toBeInstanceOf(StoppedEncoding);
    expect(performance.now() - begun).toBeLessThan(2_000);
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

describe('what a file lost', () => {
  const report = {
    rows: 5,
    tokens: 50,
    supervisedTokens: 20,
    longestTokens: 16,
    truncated: 0,
    dropped: {},
    notes: {},
    duplicates: { rows: 0, first: null },
    inEarlier: null,
    inTraining: null,
    droppedLines: [],
    rowsRead: 4,
    isPartial: false,
  };

  it('is nothing to speak of where all is as it was', () => {
    expect(describeReport(report)).toEqual([]);
  });

  it('is said with the number of rows and the first line', () => {
    const lost = {
      ...report,
      truncated: 1,
      dropped: { prompt_too_long: { rows: 2, firstLine: 4 } },
      notes: { split: { rows: 3, firstLine: 1 }, special_in_text: { rows: 1, firstLine: 7 } },
    };
    expect(describeReport(lost)).toEqual([
      '1 rows were cut to the longest length, 2 rows have a prompt that fills the longest length and were left out (first in line 4). 5 rows are used.',
      '3 rows made one row for each answer: the chat template changes earlier turns (first in line 1).',
      '1 rows hold special tokens of the base inside their texts, which are read as such (first in line 7).',
    ]);
    expect(leftOut(lost)).toBe(2);
  });

  it('is said of rows of a training file that are in one before it', () => {
    expect(describeReport({ ...report, inEarlier: { rows: 2, firstLine: 6 } })).toEqual([
      '2 rows are in a training file before it too, word for word: they are drawn by the weights of both (first in line 6).',
    ]);
  });

  it('is said of rows that stand there twice, or in the training file too', () => {
    const repeated = {
      ...report,
      duplicates: { rows: 2, first: { line: 5, of: 1 } },
      inEarlier: null,
      inTraining: { rows: 3, firstLine: 2 },
    };
    expect(describeReport(repeated)).toEqual([
      '2 rows repeat an earlier one word for word (first in line 5, as in line 1).',
      '3 rows are in the training file too, word for word: on them a run is scored for what it was shown (first in line 2).',
    ]);
  });
});
