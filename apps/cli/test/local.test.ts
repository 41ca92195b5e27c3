import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { inRepo } from '../src/paths.js';
import { moraine, moraineJson, moraineOnce } from './stack.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine local '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const base = inRepo('examples', 'base');
const at = (...parts: string[]): string => path.join(dir, ...parts);
const firstRows = (file: string, rows: number, name: string): string => {
  const lines = readFileSync(inRepo('examples', 'tasks', file), 'utf8')
    .split('\n')
    .slice(0, rows);
  writeFileSync(at(name), lines.map((line) => `${line}\n`).join(''));
  return at(name);
};
const train = firstRows('record-train.jsonl', 64, 'train.jsonl');
const rows = firstRows('record-validation.jsonl', 20, 'rows.jsonl');

/** What a command printed on standard output, as JSON. */
const json = (...words: string[]): Promise<Record<string, unknown>> =>
  moraineJson(['local', ...words], { TF_NUM_INTRAOP_THREADS: '1' });

const linesOf = (file: string): Record<string, number>[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

describe('a run without any service', () => {
  const out = at('out');
  writeFileSync(
    at('config.json'),
    JSON.stringify({
      adapter: { rank: 4, dropout: 0.1 },
      batch_size: 8,
      checkpoint: { every_steps: 2, keep_last: 2, keep_best: false },
    }),
  );
  const asked = [
    'train',
    '--base',
    base,
    '--data',
    train,
    '--config',
    at('config.json'),
    '--steps',
    '4',
    '--seed',
    '3',
  ];

  test('trains, keeps what it made in its folder, and resumes to the same numbers', { timeout: 180_000 }, async () => {
    const result = await json(...asked, '--valid', rows, '--out', out);
    expect(result).toMatchObject({
      steps: 4,
      seed: 3,
      adapter: path.join(out, 'adapter'),
      trainable_parameters: 48_800,
    });
    const metrics = linesOf(path.join(out, 'metrics.jsonl'));
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(metrics.at(-1)?.train_loss).toBe(result.train_loss);
    const adapter = readFileSync(path.join(out, 'adapter', 'adapter_model.safetensors'));
    expect(JSON.parse(readFileSync(path.join(out, 'adapter', 'adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'LORA',
      base_model_name_or_path: base,
      r: 4,
      lora_alpha: 8,
    });

    const again = await moraineOnce(['local', ...asked, '--out', out]);
    expect(again.output).toContain('holds a run already: run.json. Write --resume to go on with it');

    for (const name of ['adapter', 'merged', 'checkpoints/step-00000004'])
      rmSync(path.join(out, name), { recursive: true });
    const resumed = await json('train', '--resume', '--out', out);
    const losses = (lines: Record<string, number>[]) => lines.map(({ train_loss: loss }) => loss);
    expect(losses(linesOf(path.join(out, 'metrics.jsonl')))).toEqual(losses(metrics));
    expect([result.start_step, resumed.start_step]).toEqual([0, 2]);
    expect(resumed.valid_loss).toBe(result.valid_loss);
    expect(readFileSync(path.join(out, 'adapter', 'adapter_model.safetensors')).equals(adapter)).toBe(true);
  });

  test('its adapter is the start of another run, with its method', { timeout: 180_000 }, async () => {
    const from = [
      'train',
      '--base',
      base,
      '--data',
      train,
      '--steps',
      '2',
      '--batch-size',
      '8',
      '--seed',
      '3',
      '--lr',
      '1e-9',
      '--from',
    ];
    const next = at('next');
    const result = await json(...from, out, '--valid', rows, '--out', next);
    expect(result.trainable_parameters).toBe(48_800);
    const { config } = JSON.parse(readFileSync(path.join(next, 'run.json'), 'utf8'));
    expect(config.adapter).toMatchObject({ type: 'lora', rank: 4, alpha: 8, dropout: 0.1 });
    expect(config.start.model).toBe(out);
    const last = linesOf(path.join(out, 'metrics.jsonl')).at(-1)?.valid_loss ?? 0;
    expect(result.valid_loss).toBeCloseTo(last, 4);

    const otherRank = await moraineOnce(['local', ...from, out, '--out', at('other'), '--rank', '8']);
    expect(otherRank.output).toContain("'adapter.rank' is 8, but the adapter that the run starts from");
    const other = path.join(out, 'checkpoints', 'step-00000004');
    const resumed = await moraineOnce(['local', 'train', '--resume', '--out', next, '--from', other]);
    expect(resumed.output).toContain(`The run in ${next} started from ${out}, not from ${other}.`);
  });

  test('its adapter scores what its validation scored, and answers', { timeout: 180_000 }, async () => {
    const adapter = path.join(out, 'adapter');
    const score = await json('eval', '--base', base, '--adapter', adapter, '--data', rows);
    expect(score.nats_per_supervised_token).toBeCloseTo(
      linesOf(path.join(out, 'metrics.jsonl')).at(-1)?.valid_loss ?? 0,
      5,
    );

    const prompts = ['Lamdrin lent 95 belts to Gankor.\nRecord?', 'Who'];
    writeFileSync(
      at('prompts.jsonl'),
      prompts
        .slice(1)
        .map((prompt) => `${JSON.stringify({ prompt })}\n`)
        .join(''),
    );
    const from = [
      'generate',
      '--base',
      base,
      '--adapter',
      adapter,
      '--prompt',
      prompts[0] ?? '',
      '--prompts',
      at('prompts.jsonl'),
    ];
    const { answers } = (await json(...from, '--max-new-tokens', '6')) as { answers: Record<string, unknown>[] };
    expect(answers.map(({ prompt }) => prompt)).toEqual(prompts);
    for (const { text, tokens, finish_reason: reason } of answers) {
      expect(typeof text).toBe('string');
      expect(reason === 'stop' || tokens === 6).toBe(true);
    }
  });
});

test('a run that is asked to stops early, says why, and leaves its best weights', { timeout: 120_000 }, async () => {
  writeFileSync(at('often.json'), JSON.stringify({ evaluation: { every_steps: 1 }, batch_size: 8 }));
  const words = ['train', '--base', base, '--data', train, '--config', at('often.json'), '--steps', '6', '--seed', '3'];
  const refused = await moraineOnce(['local', ...words, '--patience', '2', '--out', at('refused')]);
  expect(refused.output).toContain("'early_stopping' follows the validation loss, but there is no validation file.");
  // No loss falls by 50 nats: the two evaluations after the first are no improvements.
  const stopping = ['--valid', rows, '--patience', '2', '--min-delta', '50'];
  const result = await json(...words, ...stopping, '--out', at('early'));
  const valid = linesOf(at('early', 'metrics.jsonl')).map(({ valid_loss: loss }) => loss ?? Number.NaN);
  expect(valid).toHaveLength(3);
  expect(result).toMatchObject({ step: 3, steps: 6, result_step: 1 + valid.indexOf(Math.min(...valid)) });
  expect(result.stopped_early).toMatch(
    /^Stopped early at step 3 of 6: in the last 2 evaluations .* by more than 50\.$/,
  );
});

// transformers 4.57.3 on the same rows in the base's chat template, summed in double precision: 5.0995510 and 5.3668158.
test('eval gives the figures that transformers gives, to six digits', { timeout: 120_000 }, async () => {
  const score = await json('eval', '--base', base, '--data', rows);
  expect(score).toMatchObject({ rows: 20, tokens: 1035, supervised_tokens: 462, truncated_rows: 0, mode: 'plain' });
  expect(score.nats_per_token).toBeCloseTo(5.099551, 5);
  expect(score.nats_per_supervised_token).toBeCloseTo(5.3668158, 5);
});

test('bench prints one line with every figure', { timeout: 120_000 }, async () => {
  const words = [
    'bench',
    '--shape',
    '260k',
    '--batch',
    '2',
    '--seq',
    '16',
    '--steps',
    '4',
    '--method',
    'mora-6',
    '--decode',
    '5',
  ];
  // Its child is a program that is compiled.
  const bench = moraine(['local', ...words, '--json'], { TF_NUM_INTRAOP_THREADS: '1' });
  expect(await bench.ended).toBe(0);
  const lines = bench.output().trim().split('\n');
  expect(lines).toHaveLength(1);
  const result = JSON.parse(lines[0] ?? '');
  for (const key of [
    'tokens_per_second',
    'supervised_per_second',
    'step_ms_median',
    'step_ms_min',
    'peak_rss_mb',
    'trace_ms',
    'load_ms',
    'init_ms',
    'first_step_ms',
    'decode_tokens_per_second',
    'nodes',
  ])
    expect(result[key], key).toBeGreaterThan(0);
  expect(result.host_share).toBeGreaterThan(0);
  expect(result.host_share).toBeLessThan(1);
  // Random rows of 512 words: at first all of them are equally likely.
  expect(result.loss_first).toBeCloseTo(Math.log(512), 1);
  expect(result.loss_last10).toBeLessThan(result.loss_first as number);
  expect(result).toMatchObject({ shape: '260k', method: 'mora-6', steps: 4, parameters: 280_512, fill: 1 });
  expect(result.device).toMatchObject({ kind: expect.stringMatching(/cpu|gpu/) });
  expect(result.versions).toMatchObject({ moraine: '0.1.0', node: process.versions.node });
});

test.each([
  [['local', 'trian'], "moraine local has no command 'trian'. Did you mean 'train'?", 2],
  [['local', 'train', '--base', base, '--data', train], '--out is missing.', 2],
  [['local', 'train', '--base', base, '--data', at('none.jsonl'), '--out', at('new')], 'There is no file', 1],
  [['local', 'train', '--base', inRepo('configs'), '--data', train, '--out', at('new')], 'holds no config.json', 1],
  [['local', 'train', '--resume', '--out', at('new')], 'holds no run to go on with', 1],
  [
    ['local', 'train', '--base', base, '--data', train, '--out', at('new'), '--from', base],
    'holds no adapter: neither adapter_config.json nor',
    1,
  ],
  [
    ['local', 'train', '--base', base, '--data', train, '--out', at('new'), '--rank', '900'],
    "'adapter.rank' is 900",
    1,
  ],
  [['local', 'eval', '--base', base, '--data', rows, '--adapter', base], 'holds no adapter', 1],
  [['local', 'generate', '--base', base], 'There is nothing to answer.', 2],
  [['local', 'bench', '--shape', '15mm'], "--shape is '15mm'", 2],
  [['local', 'bench', '--data', rows], '--data needs the tokenizer of a base.', 2],
])('%j says what is wrong and ends with its status', async (words, message, wanted) => {
  const { status, output } = await moraineOnce(words);
  expect(output).toContain(message);
  expect(status).toBe(wanted);
});

test('a bad row is named by its line, before anything is loaded', async () => {
  copyFileSync(rows, at('bad.jsonl'));
  writeFileSync(at('bad.jsonl'), `${readFileSync(rows, 'utf8')}{"prompt": "a"}\n`);
  const { status, output } = await moraineOnce([
    'local',
    'train',
    '--base',
    base,
    '--data',
    at('bad.jsonl'),
    '--out',
    at('new'),
  ]);
  expect(output).toContain('bad.jsonl, line 21');
  expect(status).toBe(1);
});
