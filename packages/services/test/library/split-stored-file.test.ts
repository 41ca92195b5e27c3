import { readFile } from 'node:fs/promises';
import { FileSplit } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  createBaseFromDir,
  createRun,
  estimateRun,
  type Services,
  splitStoredFile,
} from '../../src/index.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
});

const upload = async (text: string, filename?: string) => (await uploadRows(s, actor, text, 'fine-tune', filename)).id;
async function linesOf(id: string): Promise<string[]> {
  const { blobKey } = await s.db.file.findUniqueOrThrow({ where: { id } });
  return (await readFile(s.blobs.localPath(blobKey) ?? '', 'utf8')).trimEnd().split('\n');
}
const count = () => s.db.file.count();

describe('dividing a file', () => {
  test('makes checked files that together have its rows, equal ones in one, named after it', async () => {
    const text = `${goodRows(20)}\n${goodRows(20)}`;
    const id = await upload(text, 'sums.v2.jsonl');
    const made = await splitStoredFile(s, actor, id, { validation: 0.25, test: 2 });
    expect(FileSplit.parse(made)).toEqual(made);
    expect(made).toMatchObject({
      file_id: id,
      rows: 40,
      distinct: 20,
      train: { rows: 26, distinct: 13, file: { filename: 'sums.v2.train.jsonl', status: 'processed', rows: 26 } },
      validation: { rows: 10, distinct: 5, file: { filename: 'sums.v2.validation.jsonl' } },
      test: { rows: 4, distinct: 2, file: { filename: 'sums.v2.test.jsonl' } },
    });
    const parts = await Promise.all(
      [made.train, made.validation, made.test].map((part) => linesOf(part?.file.id ?? '')),
    );
    expect(parts.flat().sort()).toEqual(text.split('\n').sort());
    for (const [i, lines] of parts.entries())
      for (const other of parts.slice(i + 1)) expect(other.filter((line) => lines.includes(line))).toEqual([]);
  });

  test('names the files that were made before, unless one was deleted', async () => {
    const id = await upload(goodRows(12));
    const first = await splitStoredFile(s, actor, id, {});
    const before = await count();
    expect(await splitStoredFile(s, actor, id, {})).toEqual(first);
    expect(await count()).toBe(before);
    expect(first.test).toBe(null);
    const gone = first.train.file.id;
    await s.db.file.update({ where: { id: gone }, data: { deletedAt: new Date() } });
    const again = await splitStoredFile(s, actor, id, {});
    expect(again.train.file.id).not.toBe(gone);
    expect(again.validation?.file.id).toBe(first.validation?.file.id);
  });

  test('gives the parts the day on which the whole file expires', async () => {
    const id = await upload(goodRows(13));
    const expiresAt = new Date(Date.now() + 3_600_000);
    await s.db.file.update({ where: { id }, data: { expiresAt } });
    const { train } = await splitStoredFile(s, actor, id, {});
    expect(train.file.expires_at).toBe(Math.floor(expiresAt.getTime() / 1000));
  });

  test.each([
    [{ validation: 0 }, /both 0/],
    [{ validation: 1.5 }, /share below 1 or a whole number/],
    [{ validation: 14 }, /14 of them leave none to train on/],
    [{ validation: 0.01 }, /\(few\.jsonl\) has 14 distinct rows: 1 % of them leave validation without a row/],
  ])('by %o is refused, and leaves nothing', async (asked, message) => {
    const id = await upload(goodRows(14), 'few.jsonl');
    const before = await count();
    await expect(splitStoredFile(s, actor, id, asked)).rejects.toThrow(message);
    expect(await count()).toBe(before);
  });

  test('with errors is refused as a run refuses it', async () => {
    const id = await upload('{"prompt": 7, "completion": "x"}');
    await expect(splitStoredFile(s, actor, id, {})).rejects.toMatchObject({ code: 'invalid_file' });
  });
});

describe('validation_split', () => {
  const body = (training_file: string, more: object) => ({ model: 'tiny', training_file, max_steps: 2, ...more });

  test('makes a run on the two parts, says so, and counts its epochs on what is trained on', async () => {
    const id = await upload(goodRows(30));
    const hyperparameters = { n_epochs: 1, batch_size: 1 };
    const asked = { model: 'tiny', training_file: id, validation_split: 0.2, hyperparameters };
    expect((await estimateRun(s, actor, asked)).config.steps).toBe(24);
    const run = await createRun(s, actor, asked);
    expect(run.config.steps).toBe(24);
    expect(run.config.evaluation.every_steps).toBeGreaterThan(0);
    const [train, validation] = [await linesOf(run.training_file), await linesOf(run.validation_file ?? '')];
    expect([train.length, validation.length]).toEqual([24, 6]);
    expect([...train, ...validation].sort()).toEqual(goodRows(30).split('\n').sort());
    const events = await s.db.event.findMany({ where: { taskId: run.id } });
    expect(events.map(({ message }) => message)).toContain(
      `6 of the 30 rows of ${id} are for validation, ${run.validation_file}; 24 are trained on, ${run.training_file}.`,
    );
  });

  test('divides equal files alike, whatever the seed of the run', async () => {
    const id = await upload(goodRows(31));
    const [one, other] = [
      await createRun(s, actor, body(id, { validation_split: 5, seed: 1 })),
      await createRun(s, actor, body(id, { validation_split: 5, seed: 2 })),
    ];
    expect([other.training_file, other.validation_file]).toEqual([one.training_file, one.validation_file]);
  });

  test('beside a validation file is refused', async () => {
    const [id, other] = [await upload(goodRows(9)), await upload(goodRows(8))];
    const both = createRun(s, actor, body(id, { validation_file: other, validation_split: 0.5 }));
    await expect(both).rejects.toMatchObject({ code: 'invalid_value', param: 'validation_split' });
    await expect(createRun(s, actor, body(id, { validation_split: 0 }))).rejects.toMatchObject({
      code: 'invalid_value',
    });
  });
});
