import { RunObject } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Actor, createBaseFromDir, createRun, type Services } from '../src/index.js';
import { toRehearsal } from '../src/training/dry-run.js';
import { defaultActor, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;

/** Earlier answers are written in capitals, and nothing ends one. */
const TEMPLATE =
  "{% for m in messages %}{{ m.content | upper if m.role == 'assistant' and not loop.last else m.content }} {% endfor %}";
const turn = (role: string, content: string) => ({ role, content });
const conversation = (answers: number) =>
  JSON.stringify({
    messages: Array.from({ length: answers }, (_, i) => [
      turn('user', `ask ${i}`),
      turn('assistant', 'it is so'),
    ]).flat(),
  });

beforeAll(async () => {
  actor = await defaultActor(s);
  const config = JSON.stringify({ eos_token: '</s>', chat_template: TEMPLATE });
  const dir = await writeFolder({ ...tinyFiles(), 'tokenizer_config.json': config });
  await createBaseFromDir(s, actor, { name: 'capitals', dir });
});

const upload = async (rows: readonly string[], filename?: string) =>
  (await uploadRows(s, actor, rows.join('\n'), 'fine-tune', filename)).id;
const dry = (body: Record<string, unknown>) => createRun(s, actor, { model: 'capitals', dry_run: true, ...body });

test('a dry run says what the run will change in its rows, and counts steps on the rows that are trained on', async () => {
  const training_file = await upload([conversation(1), conversation(2), conversation(3)]);
  const run = await dry({ training_file, hyperparameters: { n_epochs: 1, batch_size: 1 } });
  expect(RunObject.parse(run)).toEqual(run);
  expect(run.config.steps).toBe(6);
  expect(run.progress.steps).toBe(6);
  expect(run.rehearsal).toMatchObject([
    {
      file_id: training_file,
      param: 'training_file',
      rows_read: 3,
      is_whole: true,
      rows: 6,
      warnings: [
        'Training file: 2 rows made one row for each answer: the chat template changes earlier turns (first in line 2).',
        'Training file: 3 rows got an end token behind the answer: the chat template writes none (first in line 1).',
      ],
    },
  ]);
  const [found] = run.rehearsal ?? [];
  // Eight letters of the answer, its end token, six times.
  expect(found?.supervised_tokens).toBe(6 * 9);
});

test('rows of another file that are in the training file too are said', async () => {
  const training_file = await upload([conversation(1), conversation(2)]);
  const validation_file = await upload([conversation(3), conversation(2)]);
  const run = await dry({ training_file, validation_file });
  expect(run.rehearsal?.[1]?.warnings[0]).toMatch(
    /^Validation file: 1 rows are in the training file too.*\(first in line 2\)/,
  );
  expect(run.rehearsal?.[0]?.warnings.join()).not.toContain('training file too');
});

test('every file that the run reads is looked at, each under its own name', async () => {
  const training_file = await upload([conversation(1)]);
  const validation_file = await upload([conversation(2)]);
  const held = await upload([conversation(1), conversation(1)], 'held.jsonl');
  const run = await dry({ training_file, validation_file, evaluation: { files: [held] } });
  const rows = (run.rehearsal ?? []).map((file) => [file.file_id, file.param, file.rows, file.warnings.at(-1)]);
  const ended = 'got an end token behind the answer: the chat template writes none (first in line 1).';
  expect(rows).toEqual([
    [training_file, 'training_file', 1, `Training file: 1 rows ${ended}`],
    [validation_file, 'validation_file', 2, `Validation file: 1 rows ${ended}`],
    [held, 'evaluation.files[0]', 2, `Evaluation file held.jsonl: 2 rows ${ended}`],
  ]);
});

test('rows that the run would refuse are refused, with the file, the line and what to do', async () => {
  const training_file = await upload([conversation(1), conversation(9)]);
  await expect(dry({ training_file, max_seq_len: 40, over_length: 'error' })).rejects.toMatchObject({
    code: 'user_data',
    message: expect.stringMatching(/^Training file: Line 2: The row has \d+ tokens, max_seq_len is 40\.$/),
    hint: expect.stringContaining('Raise max_seq_len'),
  });
  await expect(dry({ training_file, max_seq_len: 3 })).rejects.toMatchObject({
    code: 'user_data',
    message: expect.stringContaining('None of 10 rows can be trained on'),
  });
});

test('of a file that takes too long it is said how much was looked at', async () => {
  const file = await s.db.file.findUniqueOrThrow({ where: { id: await upload([conversation(1), conversation(2)]) } });
  const counts = { rows: 1, tokens: 20, supervisedTokens: 9, longestTokens: 20, truncated: 0 };
  const none = {
    dropped: {},
    notes: {},
    droppedLines: [],
    duplicates: { rows: 0, first: null },
    inTraining: null,
    inEarlier: null,
  };
  const report = { ...counts, ...none, rowsRead: 1, isPartial: true };
  expect(toRehearsal({ file, param: 'training_file', label: 'Training file' }, { report, warnings: ['x'] })).toEqual({
    file_id: file.id,
    param: 'training_file',
    rows_read: 1,
    is_whole: false,
    rows: 1,
    tokens: 20,
    supervised_tokens: 9,
    longest_tokens: 20,
    warnings: [
      'Training file: 1 of 2 rows were looked at; the run says of all what it finds, before its first step.',
      'x',
    ],
  });
});
