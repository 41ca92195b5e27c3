import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IGNORED } from '@moraine/contract';
import { type EvaluationItem, summarise } from '@moraine/contract/suites';
import { encodeFile, loadTokenizer, readSuite, type TrainingRow } from '@moraine/data';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { describe, expect, it } from 'vitest';
import { type EvaluateOptions, evaluateItems, openModel, scoreFile } from '../src/index.js';
import { samplePlan, sampleRows } from '../src/samples.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 20);
const lora = METHODS.lora ?? { type: 'none' as const };

function fileOf(name: string, rows: readonly object[]): string {
  const path = join(base, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}
const texts = fileOf('texts.jsonl', [{ text: 'one two' }, { text: 'three' }]);

/** A row whose prompt has `prompt` tokens and whose answer `answer`, with `more` unsupervised and supervised ones behind. */
const rowOf = (prompt: number, answer: number, more = 0): TrainingRow => {
  const ids = Array.from({ length: prompt + answer + 2 * more }, (_, i) => 10 + i);
  const labels = ids.map((id, i) =>
    i < prompt || (i >= prompt + answer && i < prompt + answer + more) ? IGNORED : id,
  );
  return { ids, labels, promptLength: prompt, supervisedTokens: answer + more, isTruncated: false };
};

describe('the rows that samples are drawn from', () => {
  it('are the first ones that have a prompt', () => {
    const rows = [rowOf(0, 3), rowOf(2, 3), rowOf(4, 1), rowOf(0, 1), rowOf(6, 2)];
    expect(sampleRows(rows, 2)).toEqual([rows[1], rows[2]]);
    expect(sampleRows(rows, 10)).toHaveLength(3);
    expect(sampleRows(rows, 0)).toEqual([]);
  });
});

describe('the plan of the samples', () => {
  it('is none without rows', () => {
    expect(samplePlan([], 64)).toBeUndefined();
    expect(samplePlan([[], []], 64)).toBeUndefined();
  });

  it('takes the rows of one file side by side, with room for the longest prompt and twice the longest answer', () => {
    const plan = samplePlan([[rowOf(5, 4), rowOf(20, 2)], [rowOf(3, 10)]], 1024);
    expect(plan).toEqual({ batches: [2], prefillTimes: [32], contextMax: 48 });
  });

  it('stays inside what the base can read', () => {
    const plan = samplePlan([[rowOf(40, 100)]], 64);
    expect(plan?.contextMax).toBe(64);
    expect(plan?.prefillTimes).toEqual([48]);
  });

  it('looks at the first answer of a conversation, not at those behind it', () => {
    const [short, long] = [samplePlan([[rowOf(8, 2, 50)]], 4096), samplePlan([[rowOf(8, 52)]], 4096)];
    expect(short?.contextMax).toBe(32);
    expect(long?.contextMax).toBe(128);
  });
});

describe('the evaluations of a run', () => {
  it('come before the first step and after the last, one a file, in the order of the files', async () => {
    const evaluationFiles = [
      { id: 'file-1', name: 'sums', path: sums },
      { id: 'file-2', name: 'texts', path: texts },
    ];
    const events = await runOf(specOf(base, sums, lora, { evaluationFiles }));
    const results = ofType(events, 'evaluation').map(({ result }) => result);
    expect(results.map(({ name, step }) => `${name} ${step}`)).toEqual(['sums 0', 'texts 0', 'sums 12', 'texts 12']);
    const types = events.map(({ type }) => type);
    expect(types.indexOf('evaluation')).toBeLessThan(types.indexOf('metrics'));
    expect(types.lastIndexOf('evaluation')).toBeGreaterThan(types.lastIndexOf('metrics'));
    expect(types.at(-1)).toBe('finished');
  });

  it('come on the way too where a file asks for it: with the validation, or with a checkpoint, before it and without samples', async () => {
    const evaluationFiles = [
      { id: 'file-1', name: 'valid', path: sums },
      { id: 'file-2', name: 'source', path: texts },
      { id: 'file-3', name: 'test', path: texts },
    ];
    const spec = specOf(base, sums, lora, { evaluationFiles, validationFile: sums });
    const during = { 'file-1': 'steps', 'file-2': 'checkpoints' } as const;
    const files = Object.keys({ ...during, 'file-3': '' });
    Object.assign(spec.config, { regularize: { kl_to_base: 0, on: 'task' } });
    spec.config.evaluation = { ...spec.config.evaluation, files, during };
    const events = await runOf(spec);
    const results = ofType(events, 'evaluation').map(({ result }) => result);
    // Validated after 4, 8 and 12 steps, saved after 5, 10 and 12.
    expect(results.map(({ name, step }) => `${name} ${step}`)).toEqual([
      ...['valid 0', 'source 0', 'test 0', 'valid 4', 'source 5', 'valid 8', 'source 10'],
      ...['valid 12', 'source 12', 'test 12'],
    ]);
    const isOnTheWay = ({ step }: { step: number }): boolean => step > 0 && step < 12;
    expect(results.filter(isOnTheWay).every(({ samples }) => samples.length === 0)).toBe(true);
    // One pass over the validation file gives both.
    const valids = ofType(events, 'metrics').filter(({ step, values }) => isOnTheWay({ step }) && values.valid_loss);
    expect(results.filter(({ name, step }) => name === 'valid' && isOnTheWay({ step }))).toMatchObject(
      valids.map(({ step, values }) => ({ step, loss: values.valid_loss, klToBase: values.valid_kl_to_base })),
    );
    expect(results[0]?.klToBase).toBeCloseTo(0, 6);
    expect(results[3]?.klToBase).toBeGreaterThan(0);
    const order = events.map((event) =>
      event.type === 'evaluation'
        ? `evaluation ${event.result.step}`
        : event.type === 'checkpoint'
          ? `checkpoint ${event.step}`
          : '',
    );
    expect(order.indexOf('evaluation 5')).toBeLessThan(order.indexOf('checkpoint 5'));
    expect(order.indexOf('evaluation 5')).toBeGreaterThan(0);
  });

  it('give text no exact match and no samples, and prompts as many samples as asked', async () => {
    const evaluationFiles = [
      { id: 'file-1', name: 'sums', path: sums },
      { id: 'file-2', name: 'texts', path: texts },
    ];
    const spec = specOf(base, sums, lora, { evaluationFiles });
    spec.config.evaluation = { ...spec.config.evaluation, samples: 3 };
    const [first, second] = ofType(await runOf(spec, 1), 'evaluation').map(({ result }) => result);
    expect(first?.exactMatch).toEqual(expect.any(Number));
    expect(first?.samples.map(({ prompt, expected }) => prompt + expected)).toEqual(['0+0=0', '1+1=2', '2+2=4']);
    expect(second).toMatchObject({ exactMatch: null, samples: [], rows: 2 });
  });

  it('score what a file scored outside of a run', async () => {
    const evaluationFiles = [{ id: 'file-1', name: 'sums', path: sums }];
    const [found] = ofType(await runOf(specOf(base, sums, lora, { evaluationFiles }), 1), 'evaluation');
    const scored = await scoreFile({ baseDir: base, adapterDir: null, file: sums, mode: 'plain', maxSeqLen: 32 });
    expect(found?.result.supervisedTokens).toBe(scored.supervisedTokens);
    expect(found?.result.loss).toBeCloseTo(scored.natsPerSupervisedToken, 5);
    expect(found?.result.tokenAccuracy).toBeCloseTo(scored.tokenAccuracy, 6);
  });

  it('count bits by the bytes of the text: the end token costs tokens, and no bits', async () => {
    const evaluationFiles = [
      { id: 'file-1', name: 'sums', path: sums },
      { id: 'file-2', name: 'texts', path: texts },
    ];
    const results = ofType(await runOf(specOf(base, sums, lora, { evaluationFiles }), 1), 'evaluation');
    const model = await openModel({ baseDir: base, tunedDir: null, lambda: 1 });
    for (const [i, file] of [sums, texts].entries()) {
      const items: EvaluationItem[] = [];
      const asked = await readSuite({ suite: 'file', file });
      await evaluateItems({ model, ...asked }, (item) => void items.push(item));
      const expected = summarise('file', items).metrics.bits_per_byte?.value;
      expect(results[i]?.result.bitsPerByte).toBeCloseTo(expected ?? Number.NaN, 5);
    }
  });

  it.each(['truncate', 'drop'] as const)(
    'of rows that the run cuts or leaves out are what an evaluation gives that reads as it (%s)',
    async (overLength) => {
      const sumsOf = (count: number) => ({ prompt: '1+'.repeat(count), completion: '='.repeat(6) });
      const long = fileOf('long.jsonl', [1, 2, 3, 4, 5].map(sumsOf));
      const evaluationFiles = [{ id: 'file-1', name: 'long', path: long }];
      const spec = specOf(base, sums, lora, { evaluationFiles });
      const config = { ...spec.config, max_seq_len: 10, over_length: overLength };
      const [found] = ofType(await runOf({ ...spec, config }, 1), 'evaluation');
      const model = await openModel({ baseDir: base, tunedDir: null, lambda: 1 });
      const figures = async (readAs: EvaluateOptions['readAs']) => {
        const items: EvaluationItem[] = [];
        const asked = await readSuite({ suite: 'file', file: long });
        await evaluateItems(
          { model, ...asked, ...(readAs === undefined ? {} : { readAs }) },
          (item) => void items.push(item),
        );
        return { items, metrics: summarise('file', items).metrics };
      };
      const { items, metrics: same } = await figures({ maxSeqLen: 10, overLength, templateDate: '2026-01-01' });
      expect(same.nats_per_token?.value).toBeCloseTo(found?.result.loss ?? Number.NaN, 5);
      expect(same.bits_per_byte?.value).toBeCloseTo(found?.result.bitsPerByte ?? Number.NaN, 5);
      const scored = items.filter(({ metrics }) => (metrics.tokens ?? 0) > 0);
      expect(scored).toHaveLength(found?.result.rows ?? 0);
      expect(scored.length).toBeLessThan(items.length);
      for (const { metrics, verdict } of items)
        if (metrics.tokens === 0) expect([verdict, metrics.exact_match]).toEqual([null, undefined]);
      expect((await figures(undefined)).metrics.nats_per_token?.value).not.toBeCloseTo(
        found?.result.loss ?? Number.NaN,
        3,
      );
    },
  );

  it('are not repeated at the start of a run that is resumed', async () => {
    const evaluationFiles = [{ id: 'file-1', name: 'sums', path: sums }];
    const first = await runOf(specOf(base, sums, lora, { evaluationFiles }), 5);
    const resumeFrom = ofType(first, 'checkpoint').at(-1)?.dir ?? null;
    const rest = await runOf(specOf(base, sums, lora, { evaluationFiles, resumeFrom }));
    expect(ofType(rest, 'evaluation').map(({ result }) => result.step)).toEqual([12]);
  });

  it('on the validation file stand at the asked steps and the last, in metrics and in the result file', async () => {
    const spec = specOf(base, sums, lora, { validationFile: sums });
    spec.config.evaluation = { ...spec.config.evaluation, every_steps: 5 };
    const events = await runOf(spec);
    const valid = ofType(events, 'metrics').filter(({ values }) => values.valid_loss !== undefined);
    expect(valid.map(({ step }) => step)).toEqual([5, 10, 12]);
    const lines = (ofType(events, 'finished')[0]?.resultFile ?? '').trim().split('\n').slice(1);
    expect(lines).toHaveLength(12);
    const filled = lines.filter((line) => !line.endsWith(',,')).map((line) => Number(line.split(',')[0]));
    expect(filled).toEqual([5, 10, 12]);
  });
});

describe('the score of a file', () => {
  const score = (file: string, patch = {}) =>
    scoreFile({ baseDir: base, adapterDir: null, file, mode: 'plain', ...patch });

  it('counts every token but the first of a row, and supervised ones apart', async () => {
    const tokenizer = await loadTokenizer(base);
    const { rows } = await encodeFile(sums, tokenizer, { maxSeqLen: 64 });
    const found = await score(sums);
    expect(found.rows).toBe(20);
    expect(found.tokens).toBe(rows.reduce((sum, { ids }) => sum + ids.length - 1, 0));
    expect(found.supervisedTokens).toBe(rows.reduce((sum, row) => sum + row.supervisedTokens, 0));
  });

  it('is an error where the products of large weights are no numbers', async () => {
    const dir = writeTinyBase();
    const file = join(dir, 'model.safetensors');
    const { tensors } = readSafetensors(file);
    const norm = tensors.get('model.norm.weight')?.data;
    if (norm instanceof Float32Array) norm.fill(3e38);
    writeSafetensors(file, tensors);
    await expect(score(sums, { baseDir: dir })).rejects.toMatchObject({
      code: 'nan_loss',
      message: expect.stringMatching(/^The model's loss on .*sums.* is (NaN|Infinity)\.$/),
    });
  });

  it('of plain text is one number, because all of it is supervised', async () => {
    const found = await score(texts);
    expect(found.supervisedTokens).toBe(found.tokens);
    expect(found.natsPerSupervisedToken).toBeCloseTo(found.natsPerToken, 10);
  });

  it('is the same for a file twice as long with every row twice, and says how far it is', async () => {
    const once = Array.from({ length: 50 }, (_, i) => ({ prompt: `${i}?`, completion: `${i * i}` }));
    const progress: string[] = [];
    const onProgress = (done: number, rows: number) => void progress.push(`${done} of ${rows}`);
    const single = await score(fileOf('once.jsonl', once));
    const double = await score(fileOf('twice.jsonl', [...once, ...once]), { onProgress });
    expect(double.natsPerToken).toBeCloseTo(single.natsPerToken, 5);
    expect(double.tokenAccuracy).toBeCloseTo(single.tokenAccuracy, 10);
    expect(progress).toEqual(['64 of 100', '100 of 100']);
  });

  it('says what was cut', async () => {
    const long = fileOf('long.jsonl', [{ text: 'x'.repeat(40) }, { text: 'short' }]);
    expect((await score(long, { maxSeqLen: 16 })).report).toMatchObject({ rows: 2, truncated: 1, longestTokens: 16 });
  });

  it('names the line that is no row', async () => {
    const bad = join(base, 'bad.jsonl');
    writeFileSync(bad, '{"text":"good"}\n{"text": 3}\n');
    await expect(score(bad)).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('Line 2'),
    });
  });
});
