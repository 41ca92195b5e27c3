import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ExperimentRequest, type ExperimentVerdict } from '@moraine/contract/experiments';
import { afterAll, describe, expect, test } from 'vitest';
import { readArguments } from '../src/args.js';
import { tuneCommand } from '../src/commands/tune.js';
import { parseBudget, SIZES, STEPS_LEAST, stepsFor, stepsMost, tuneRequest } from '../src/tune/plan.js';
import { prepareRows } from '../src/tune/rows.js';
import { verdictView } from '../src/tune/verdict-view.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine tune '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let count = 0;
function fileOf(lines: string[], ending = 'jsonl'): string {
  count += 1;
  const file = path.join(dir, `rows ${count}.${ending}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
const row = (n: number): string => JSON.stringify({ prompt: `${n}?`, completion: `${n}!` });
const rows = (n: number): string[] => Array.from({ length: n }, (_, i) => row(i));
const linesOf = (file: string): string[] => readFileSync(file, 'utf8').trimEnd().split('\n');

describe('the rows', () => {
  test('are divided into those to train on, to choose by and to judge by', async () => {
    const made = await prepareRows(fileOf(rows(200)), dir, 'many');
    const parts = [made.train, made.validation, made.test].map(linesOf);
    expect(parts.map(({ length }) => length)).toEqual([160, 20, 20]);
    expect(new Set(parts.flat()).size).toBe(200);
    expect(made.rows).toBe(160);
  });

  test('of a small file leave eight each, and equal rows never meet', async () => {
    const made = await prepareRows(fileOf([...rows(40), ...rows(40)]), dir, 'few');
    const parts = [made.train, made.validation, made.test].map((file) => new Set(linesOf(file)));
    expect(parts.map(({ size }) => size)).toEqual([24, 8, 8]);
    expect(new Set(parts.flatMap((part) => [...part])).size).toBe(40);
    expect(made.rows).toBe(24);
  });

  test('are divided once: what is there is found again, and a division that was cut off is made anew', async () => {
    const file = fileOf(rows(60));
    const first = await prepareRows(file, dir, 'again');
    const at = statSync(first.train).mtimeMs;
    expect(await prepareRows(file, dir, 'again')).toEqual(first);
    expect(statSync(first.train).mtimeMs).toBe(at);
    rmSync(path.join(first.folder), { recursive: true });
    writeFileSync(`${first.folder}.part`, 'cut off');
    expect(await prepareRows(file, dir, 'again')).toEqual(first);
    expect(existsSync(`${first.folder}.part`)).toBe(false);
  });

  test('of another tool are converted', async () => {
    const alpaca = Array.from({ length: 30 }, (_, i) =>
      JSON.stringify({ instruction: `Add 1 to ${i}.`, input: '', output: `${i + 1}` }),
    );
    const made = await prepareRows(fileOf(alpaca), dir, 'alpaca');
    expect(JSON.parse(linesOf(made.test)[0] ?? '')).toHaveProperty('messages');
  });

  test('too few of them, a bad one and a file that is not there are refused, and nothing is left', async () => {
    await expect(prepareRows(fileOf(rows(23)), dir, 'short')).rejects.toThrow(/has 23 distinct rows; tuning needs 24/);
    await expect(prepareRows(fileOf([...rows(30), '{"prompt": 1}']), dir, 'bad')).rejects.toMatchObject({
      code: 'invalid_file',
    });
    await expect(prepareRows(path.join(dir, 'none'), dir, 'none')).rejects.toThrow(/none/);
    expect(existsSync(path.join(dir, 'tune', 'short'))).toBe(false);
  });
});

describe('the plan', () => {
  const input = { name: 'tune x', model: 'tiny', train: 'a', validation: 'b', test: 'c', keep: 'd', rows: 300 };

  test('is an experiment that the service takes, with three seeds and parts of the update', () => {
    const request = ExperimentRequest.parse(tuneRequest(input, { arms: ['LoRA', 'MoRA', 'full'], steps: 50 }));
    expect(request).toMatchObject({
      evaluation: { validation: 'b', test: 'c', source: ['d'], every_steps: 13 },
      fixed: { max_steps: 50, batch_size: 16 },
      seeds: { final: [2, 3, 4] },
      lambdas: [0.5, 0.75],
    });
    expect(request.arms.map(({ name }) => name)).toEqual(['LoRA', 'MoRA', 'full']);
    const alone = ExperimentRequest.parse(
      tuneRequest({ ...input, keep: null, rows: 24 }, { arms: ['LoRA'], steps: 20 }),
    );
    expect(alone).toMatchObject({ evaluation: { source: [] }, fixed: { batch_size: 8 } });
  });

  test('takes the steps that the budget has room for, between the least that show something and three times through', () => {
    // 100 s at 20 steps and 140 s at 40: 2 s a step, 60 s beside them.
    const costs = [
      { steps: 20, seconds: 100 },
      { steps: 40, seconds: 140 },
    ] as const;
    expect(stepsFor(260, costs, 1000)).toBe(100);
    expect(stepsFor(260, costs, 70)).toBe(70);
    expect(stepsFor(100, costs, 1000)).toBe(STEPS_LEAST);
    expect(stepsFor(99, costs, 1000)).toBeNull();
    // Nothing is known of what a step costs: the rows decide.
    expect(stepsFor(100, [costs[0], { steps: 40, seconds: 100 }], 57)).toBe(57);
    expect([24, 256, 3000].map(stepsMost)).toEqual([20, 48, 563]);
  });

  test('leaves out the search that goes on, then full fine-tuning, and never a final run', () => {
    const requests = SIZES.map((size) => ExperimentRequest.parse(tuneRequest(input, { ...size, steps: 20 })));
    expect(requests.map(({ arms, search }) => [arms.length, search.type === 'bracket' && search.max_runs])).toEqual([
      [3, 5],
      [3, 3],
      [2, 5],
      [2, 3],
    ]);
    expect(requests.every(({ seeds }) => seeds.final.length === 3)).toBe(true);
  });

  test.each([
    ['90s', 90],
    ['30m', 1800],
    ['1.5h', 5400],
  ])('a budget of %s is %d seconds', (text, seconds) => expect(parseBudget(text)).toBe(seconds));
  test.each(['', '30', '0m', 'm', '30 m', '-5m', '1d'])("a budget of '%s' is refused", (text) => {
    expect(() => parseBudget(text)).toThrow(`--budget is '${text}', which is no time.`);
  });

  test('a bound on what is forgotten needs rows to keep', async () => {
    const words = [fileOf(rows(30)), '--forget-most', '0.1'];
    await expect(tuneCommand.run(readArguments(tuneCommand, words))).rejects.toThrow(/there is no --keep/);
  });
});

describe('the verdict', () => {
  const verdict: ExperimentVerdict = {
    object: 'experiment.verdict',
    decision: 'use',
    reason: 'LoRA is better than the base: exact match better by 0.4 [0.3, 0.5] share (95 %, over 3 seeds)',
    metric: 'exact_match',
    chosen: {
      ...{ arm: 'LoRA', label: 'lora r8', learning_rate: 2e-3, is_bracketed: true },
      ...{ run_id: 'ftjob-1', step: 60, lambda: 0.75 },
    },
    base: 0.125,
    tuned: 0.525,
    gain: { mean: 0.4, low: 0.3, high: 0.5, n: 3, over: 'seeds' },
    forgotten: { mean: 0.0512, half: 0.01, n: 3, reason: null },
    seconds: 754,
    runs_unmeasured: 0,
    next_command: null,
  };

  test('says what to use, what it gained and what it forgot, and the next command', () => {
    const shown = verdictView(verdict, ['Try it: x']);
    expect(shown).toContain('Use it: LoRA is better than the base');
    expect(shown).toMatch(/chosen +lora r8, learning rate 0\.002, step 60, λ 0\.75 \(ftjob-1\)/);
    expect(shown).toMatch(/test rows +exact_match 12\.5 % → 52\.5 %/);
    expect(shown).toMatch(/forgotten +0\.051 ± 0\.010 bits per byte more/);
    expect(shown).toMatch(/trained for +12 min 34 s/);
    expect(shown.trimEnd().endsWith('Try it: x')).toBe(true);
  });

  test('says that nothing is to be used, also where nothing could be chosen', () => {
    const none = { ...verdict, decision: 'do_not_use', reason: 'no better', forgotten: null } as const;
    expect(verdictView(none, [])).toContain('Do not use: no better.');
    expect(verdictView(none, [])).not.toContain('forgotten');
    expect(verdictView({ ...none, chosen: null, base: null, tuned: null }, [])).not.toContain('test rows');
    const loss = { ...verdict, metric: 'loss', base: 2.5, tuned: 1.25 } as const;
    expect(verdictView(loss, [])).toContain('loss 2.5000 → 1.2500');
  });
});
