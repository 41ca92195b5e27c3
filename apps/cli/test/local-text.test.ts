import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { moraine, moraineOnce } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// What a person reads of `moraine local`: the same commands with --json are in local.test.ts.
vi.setConfig({ testTimeout: 120_000 });
const dir = mkdtempSync(path.join(tmpdir(), 'moraine local text '));
const [base, data, out] = ['tiny', 'rows.jsonl', 'out'].map((name) => path.join(dir, name)) as [string, string, string];
const local = (...words: string[]) => moraineOnce(['local', ...words], { TF_NUM_INTRAOP_THREADS: '1' });
const stepsOf = (): number[] =>
  readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { step: number }).step);

beforeAll(() => {
  writeTinyBase(base);
  const row = JSON.stringify({ prompt: 'Nalmen called Kelna.', completion: 'Kelna.' });
  writeFileSync(data, `${row}\n`.repeat(40));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a dry run prints the whole configuration and leaves no folder', async () => {
  const distinct = path.join(dir, 'distinct.jsonl');
  const row = (i: number): string => `${JSON.stringify({ prompt: `Nalmen ${i}?`, completion: 'Kelna.' })}\n`;
  writeFileSync(distinct, Array.from({ length: 40 }, (_, i) => row(i)).join(''));
  const { status, output } = await local(
    ...['train', '--base', base, '--data', distinct, '--out', out, '--steps', '9', '--seed', '5', '--dry-run'],
  );
  expect(status).toBe(0);
  expect(JSON.parse(output)).toMatchObject({
    ...{ steps: 9, seed: 5, adapter: { type: 'lora', rank: 8 } },
    chosen: [{ param: 'learning_rate' }, { param: 'batch_size' }, { param: 'n_epochs', reason: /max_steps is 9/ }].map(
      ({ param, reason = /./ }) => ({ param, reason: expect.stringMatching(reason) }),
    ),
  });
  expect(existsSync(out)).toBe(false);
});

test('a dry run encodes the rows: it says what is left out, and counts epochs over the others', async () => {
  const some = path.join(dir, 'some-too-long.jsonl');
  const row = (i: number) => ({ prompt: i % 5 === 0 ? 'Nalmen '.repeat(200) : 'Nalmen?', completion: 'Kelna.' });
  writeFileSync(some, Array.from({ length: 37 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''));
  const config = path.join(dir, 'two-epochs.json');
  writeFileSync(config, '{"hyperparameters": {"n_epochs": 2}}');
  const words = ['train', '--base', base, '--data', some, '--out', out, '--batch-size', '4', '--config', config];
  const { status, output } = await local(...words, '--dry-run');
  expect(status).toBe(0);
  expect(output).toContain(
    'Training file: 8 rows have a prompt that fills the longest length and were left out (first in line 1). 29 rows are used.',
  );
  expect(output).toMatch(/"steps": 15,/);
  expect(existsSync(out)).toBe(false);
});

test('rows of another tool are converted on request, and that is said', async () => {
  const from = path.join(dir, 'sharegpt.jsonl');
  const to = path.join(dir, 'converted.jsonl');
  const turns = [
    { from: 'human', value: 'hi' },
    { from: 'gpt', value: 'hello' },
  ];
  writeFileSync(from, `${JSON.stringify({ conversations: turns })}\n`.repeat(3));
  const refused = await local('train', '--base', base, '--data', from, '--out', out, '--dry-run');
  expect(refused.status).toBe(1);
  expect(refused.output).toContain('moraine local convert');
  const { status, output } = await local('convert', from, '--out', to);
  expect(status).toBe(0);
  expect(output.split('\n')).toEqual([
    `3 rows of the form ShareGPT are written to ${to}.`,
    "'conversations' are the messages: human is the user, gpt the assistant.",
    '2 rows repeat an earlier one and are kept; --unique leaves them out (first: line 2 says what line 1 says).',
    '',
  ]);
  expect(readFileSync(to, 'utf8').split('\n')[0]).toBe(
    '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}',
  );
  expect((await local('convert', from, '--out', to)).status).toBe(1);
  const table = path.join(dir, 'table.csv');
  writeFileSync(table, 'question,answer,id\na,b,1\na,b,2\nc,,3\n');
  const options = ['--out', path.join(dir, 'unique.jsonl'), '--unique', '--skip-bad'];
  const unique = await local('convert', table, ...options);
  expect(unique.output).toContain("'question' is the prompt, 'answer' the completion.\nKeys without a place");
  expect(unique.output).toContain("left out: 'id' (1 rows).\n1 rows repeat an earlier one and are left out (first");
  expect(unique.output).toContain('1 rows are left out; of the first: Line 4: /completion: The completion is empty');
  expect(unique.status).toBe(0);
  expect(JSON.parse((await local('convert', table, '--out', `${to}2`, '--json', '--skip-bad')).output)).toMatchObject({
    rows: 2,
    duplicates: { rows: 1, first: { line: 3, of: 2 } },
    skipped: { rows: 1 },
  });
});

test('Ctrl-C saves a checkpoint and says how the run goes on; --resume trains the rest with the same steps', async () => {
  const config = path.join(dir, 'config.json');
  writeFileSync(config, '{"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50}}}}');
  const words = ['train', '--base', base, '--data', data, '--out', out, '--batch-size', '1', '--seed', '5'];
  const cli = moraine(['local', ...words, '--config', config, '--steps', '2000'], { TF_NUM_INTRAOP_THREADS: '1' });
  await cli.says(/^step 200\/2000 /m);
  cli.child.kill('SIGINT');
  expect(await cli.ended).toBe(130);
  expect(cli.output()).toMatch(/^40 rows, 2000 steps of 1; 2,176 numbers are trained \(11\.46 %\) on /m);
  expect(cli.output()).toContain('Stopping after this step; a checkpoint is written. Once more ends at once.');
  const [, step] =
    /^Stopped after step (\d+) of 2000\. `moraine local train --resume --out .*` goes on\.$/m.exec(cli.output()) ?? [];
  expect(Number(step)).toBeGreaterThanOrEqual(200);
  expect(stepsOf().at(-1)).toBe(Number(step));

  const resumed = await local('train', '--resume', '--out', out);
  expect(resumed.status).toBe(0);
  expect(resumed.output).toContain(` It goes on after step ${step}.`);
  expect(resumed.output).toMatch(/^Trained 2000 steps, [\d,]+ tokens, in \d+ s\.$/m);
  expect(resumed.output).toContain(`adapter  ${path.join(out, 'adapter')}`);
  expect(stepsOf()).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
});

test('eval says rows, tokens and nats, and how many rows were cut; with no row left it is an error', async () => {
  const mixed = path.join(dir, 'mixed.jsonl');
  writeFileSync(mixed, `${readFileSync(data, 'utf8').split('\n').slice(0, 3).join('\n')}\n`);
  const { status, output } = await local(
    'eval',
    '--base',
    base,
    '--adapter',
    path.join(out, 'adapter'),
    '--data',
    mixed,
  );
  expect(status).toBe(0);
  expect(output).toMatch(/^3 rows, \d+ tokens, \d+ supervised$/m);
  expect(output).toMatch(/^nats per token +\d+\.\d{7}$/m);
  expect(output).toMatch(/^nats per supervised token +\d+\.\d{7}$/m);
  expect(output).toMatch(/^supervised tokens right +\d+\.\d\d %$/m);
  const text = path.join(dir, 'text.jsonl');
  writeFileSync(text, `${JSON.stringify({ text: 'Nalmen called Kelna. '.repeat(9) })}\n{"text":"Kelna"}\n`);
  const cut = await local('eval', '--base', base, '--data', text, '--seq', '8');
  expect(cut.output).toContain('1 rows were cut to the longest length.');
  const none = await local('eval', '--base', base, '--data', mixed, '--seq', '2');
  expect(none.status).toBe(1);
  expect(none.output).toContain('None of 3 rows');
});

test('eval --suite prints each figure with its interval and chance, as JSON the same, and writes the items', async () => {
  const file = path.join(dir, 'questions.jsonl');
  const rows = Array.from({ length: 6 }, (_, i) => ({ query: `Is it ${i}?`, choices: ['yes', 'no'], gold: i % 2 }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const items = path.join(dir, 'items.jsonl');
  const words = ['eval', '--suite', 'choices', file, '--base', base, '--adapter', path.join(out, 'adapter')];
  const { status, output } = await local(...words, '--limit', '4', '--items', items);
  expect(output).toMatch(/^Your own questions with choices: 4 items; intervals of 95 %$/m);
  const [, share] =
    /^acc +(\d+)\.00 % {2}\[\d+\.\d\d %, \d+\.\d\d %\] {2}chance 50\.00 %: at chance$/m.exec(output) ?? [];
  expect(status).toBe(0);
  const written = readFileSync(items, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(written.map(({ id, scores }) => [id, scores.length])).toEqual(['1', '2', '3', '4'].map((id) => [id, 2]));
  const right = written.filter(({ verdict }) => verdict === 'right').length;
  expect(Number(share)).toBe(25 * right);
  const machine = await local(...words, '--limit', '4', '--lambda', '1', '--json');
  expect(JSON.parse(machine.output)).toMatchObject({
    suite: 'choices',
    n: 4,
    metric: 'acc',
    metrics: { acc: { value: right / 4, chance: 0.5, at_chance: true } },
    lambda: 1,
  });
  const prompts = path.join(dir, 'asked.jsonl');
  writeFileSync(prompts, '{"prompt": "Kelna", "expected": "no such"}\n');
  const drawn = await local(
    'eval',
    '--suite',
    'answers',
    prompts,
    '--base',
    base,
    '--samples',
    '3',
    '--temperature',
    '2',
  );
  expect(drawn.output).toMatch(/: 1 items, 3 samples each at temperature 2; intervals of 95 %$/m);
  expect(drawn.output).toMatch(/^pass@3 +0\.00 %/m);
  expect(drawn.output).toMatch(/^unique_answers +[123]\.00000$/m);
  const wrong = await local('eval', '--suite', 'arc_easy', path.join(dir, 'mixed.jsonl'), '--base', base);
  expect(wrong).toMatchObject({ status: 1, output: expect.stringContaining('Line 1: ') });
});

test('generate prints one answer alone, and several each below its prompt', async () => {
  const words = ['generate', '--base', base, '--max-new-tokens', '4', '--raw'];
  const one = await local(...words, '--prompt', 'Kelna');
  expect(one.status).toBe(0);
  expect(one.output).not.toContain('Kelna\n');
  const prompts = path.join(dir, 'prompts.txt');
  writeFileSync(prompts, '{"prompt": "Nalmen"}\n\n{not JSON\n');
  const several = await local(...words, '--prompt', 'Kelna', '--prompts', prompts);
  const at = ['Kelna', 'Nalmen', '{not JSON'].map((prompt) => several.output.split('\n').indexOf(prompt));
  expect(at[0]).toBe(0);
  expect(at).toEqual(at.toSorted((a, b) => a - b));
  expect(several.output.startsWith(`Kelna\n${one.output}`)).toBe(true);
});

test('bench prints a line for each kind of figure', async () => {
  const words = ['local', 'bench', '--shape', '260k', '--batch', '1', '--seq', '8', '--steps', '3', '--decode', '2'];
  const bench = moraine(words, { TF_NUM_INTRAOP_THREADS: '1' });
  expect(await bench.ended).toBe(0);
  const output = bench.output();
  const labels = output
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ')[0]);
  expect(labels).toEqual(['shape', 'device', 'rows', 'speed', 'step', 'loss', 'start', 'decode', 'memory']);
  expect(output).toMatch(/^rows +3 steps of 1 rows, 8 tokens, random$/m);
});
