import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { ListedRun } from '@moraine/contract';
import { drawCanaries } from '@moraine/contract/analyses';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { demoPlan, type TaskFile } from '../src/demo/plan.js';
import { reportOf } from '../src/demo/report.js';
import { openaiClient, submitRuns, uploadFiles } from '../src/demo/submit.js';
import { watched, watchRun } from '../src/demo/watch.js';
import { ensureBase, SHIPPED_BASE } from '../src/register-base.js';
import { readStack } from '../src/up/stack-file.js';
import { columnsOf, moraineOnce, removeStack, startUp, type TestStack } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// One stack with one worker for all tests, in order: the demo trains, and the commands show what it made.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine trained '));
const baseDir = path.join(dataDir, 'tiny');
const out = (name: string): string => path.join(dataDir, name);
const plan = demoPlan(true);
let stack: TestStack;
let { up, client, address, cli } = {} as TestStack;
let runs: ListedRun[];

/** The run of a method of the demo. */
const runOf = (suffix: string): ListedRun => {
  const run = runs.find((one) => one.suffix === suffix);
  if (!run) throw new Error(`no run ${suffix}`);
  return run;
};

beforeAll(async () => {
  writeTinyBase(baseDir);
  // Its webhooks are received by a test on this machine.
  process.env.MORAINE_WEBHOOK_PRIVATE = '1';
  stack = await startUp(dataDir, '--bare');
  ({ up, client, address, cli } = stack);
});
afterAll(() => removeStack(dataDir, stack));

test('the demo uses a stack that runs, trains on it, shows what came of it and leaves it running', async () => {
  const { status, output } = await cli('demo', '--short', '--seed', '3', '--base', baseDir);
  runs = (await client.call('listRuns', { query: {} })).data;
  expect(runs.map((run) => [run.suffix, run.status, run.progress.step])).toEqual([
    ['mora-sharing', 'succeeded', 15],
    ['mora-rotation', 'succeeded', 15],
    ['lora', 'succeeded', 15],
  ]);
  expect(output).toContain(`A stack already runs on ${dataDir} (${address.origin}): the demo uses it`);
  expect(output).toContain('Base model registered, 6 files uploaded, 3 runs queued (seed 3).');
  for (const { label } of plan.methods)
    expect(output).toMatch(new RegExp(`^${label} +━{24} 15/15  loss \\d\\.\\d{4}  [\\d,]+ tokens/s  done$`, 'm'));
  // Quick runs are over between two looks, so which of its places is seen is not certain; that it says its place is.
  expect(output).toMatch(/^MoRA sharing .*; (?:it is next|[12] tasks? (?:is|are) ahead)\.$/m);
  expect(output).toContain('held-out: 24 rows that were not trained on. new-name: 24 rows');
  expect(output.match(/^ {2}prompt /gm)).toHaveLength(3);
  expect(output).toContain('eval "$(npx moraine env)"');
  // Whether 15 steps teach these weights anything is for the verdict to say; the status follows it.
  const hasFailed = output.includes('the held-out loss did not fall');
  expect(status).toBe(hasFailed ? 1 : 0);
  expect(up.child.exitCode).toBeNull();
});

describe('what the demo submits', () => {
  test('is registered and uploaded once: a second demo finds it there', async () => {
    expect(await ensureBase(client, '/nowhere')).toBe('present');
    const before = (await client.call('listFiles', { query: {} })).data.map(({ id }) => id);
    const ids = await uploadFiles(openaiClient(address), client, plan.files);
    expect(before).toEqual(expect.arrayContaining(Object.values(ids)));
    expect((await client.call('listFiles', { query: {} })).data).toHaveLength(before.length);
    expect(runs[0]?.training_file).toBe(ids.train);
    expect(runs[0]?.validation_file).toBe(ids.validation);
  });

  test('is uploaded again under the same name when its bytes differ, and refused when a row is wrong', async () => {
    const [file] = plan.files;
    if (!file) throw new Error('no file');
    const upload = (content: string) =>
      uploadFiles(openaiClient(address), client, [{ ...file, content: Buffer.from(content) }]);
    expect((await upload('{"prompt":"a","completion":"b"}\n'.repeat(12))).train).not.toBe(runs[0]?.training_file);
    await expect(upload(`${'{"prompt":"a","completion":"b"}\n'.repeat(12)}{"prompt":"a"}\n`)).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(new RegExp(`^${file.filename} was refused: Line 13, `)),
    });
  });
});

test('a report has the first and the last evaluation of each file, and speed by the time of the steps', async () => {
  const files = (await client.call('listFiles', { query: {} })).data;
  const idOf = (name: string): string => files.findLast(({ filename }) => filename === name)?.id ?? '';
  const ids = Object.fromEntries(plan.files.map(({ role, filename }) => [role, idOf(filename)])) as Record<
    TaskFile,
    string
  >;
  const [method] = plan.methods;
  if (!method) throw new Error('no method');
  const report = await reportOf(client, runOf('lora').id, method, ids);
  for (const role of ['heldout', 'newnames', 'closedBook', 'source'] as const) {
    expect(report.before[role], role).toMatchObject({ step: 0, file_id: ids[role] });
    expect(report.after[role], role).toMatchObject({ step: 15, file_id: ids[role] });
  }
  const { trainingSeconds, tokensPerSecond, run } = report;
  expect(trainingSeconds).toBeGreaterThan(0);
  expect((tokensPerSecond ?? 0) * (trainingSeconds ?? 0)).toBeCloseTo(run.trained_tokens ?? -1, 3);
});

describe('watching a run', () => {
  test('that has ended takes its last step, its loss and how it ended', async () => {
    const { id, progress } = runOf('lora');
    const run = watched('LoRA', { id }, 99);
    await watchRun(address, run, new AbortController().signal);
    expect(run).toMatchObject({ status: 'succeeded', steps: 15, note: '' });
    if (run.loss !== null) expect(run.loss).toBeCloseTo(progress.train_loss ?? 0, 6);
  });

  test('of which nobody knows goes on until it is given up', async () => {
    const abort = new AbortController();
    const run = watched('none', { id: 'ftjob-none' }, 15);
    const watching = watchRun(address, run, abort.signal);
    expect(
      await Promise.race([
        watching.then(() => 'ended'),
        new Promise((resolve) => setTimeout(resolve, 800, 'watching')),
      ]),
    ).toBe('watching');
    abort.abort();
    await watching;
    expect(run).toEqual(watched('none', { id: 'ftjob-none' }, 15));
  });

  test('follows it live: queued behind another, training, cancelled with its reason', async () => {
    const ids = await uploadFiles(openaiClient(address), client, plan.files);
    const [lora] = plan.methods;
    if (!lora) throw new Error('no method');
    const long = { ...plan, steps: 18_000, batchSize: 1, methods: [lora, lora] };
    const [first, second] = await submitRuns(openaiClient(address), long, ids, 0);
    if (!first || !second) throw new Error('not submitted');
    const states = [first, second].map(({ id }) => watched('LoRA', { id }, long.steps));
    const [now, next] = states;
    const watching = states.map((state) => watchRun(address, state, new AbortController().signal));
    await expect.poll(() => now?.step, { timeout: 60_000 }).toBeGreaterThan(2);
    expect(now).toMatchObject({ status: 'running', note: '', steps: 18_000 });
    expect(now?.loss).toBeGreaterThan(0);
    await expect.poll(() => next?.note, { timeout: 10_000 }).toMatch(/it is next/);

    // The API is killed under the watch: its stream is taken up where it broke off.
    process.kill(readStack(dataDir).parts.find(({ name }) => name === 'api')?.pid ?? 0, 'SIGKILL');
    const { step } = now ?? { step: 0 };
    await up.says(/^api ended; it is started again in 0\.2 s$/m);
    await expect.poll(() => now?.step, { timeout: 60_000 }).toBeGreaterThan(step + 50);
    expect(now?.status).toBe('running');
    // What the killed API had sent already may bring the steps: the commands below need the new one.
    await expect
      .poll(() => client.call('getRun', { params: { id: first.id } }).catch(() => null), { timeout: 60_000 })
      .not.toBeNull();
    expect((await cli('runs', 'ls')).output).toMatch(new RegExp(`^${first.id} +running`, 'm'));
    const { output } = await cli('status');
    expect(columnsOf(output.split('\n')[3]).at(-1)).toBe(first.id);
    for (const { id } of [second, first]) expect((await cli('runs', 'cancel', id)).status).toBe(0);
    await Promise.all(watching);
    expect(states.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
  });
});

test('runs create uploads rows, queues a run with its options and watches it to its end', async () => {
  const rows = out('rows.jsonl');
  writeFileSync(rows, '{"prompt":"Nalmen called","completion":" Kelna."}\n'.repeat(40));
  const config = out('config.json');
  writeFileSync(config, '{"adapter": {"rank": 2}, "schedule": {"type": "linear"}, "validation_file": null}');
  const { status, output } = await cli(
    ...['runs', 'create', '--model', SHIPPED_BASE, '--file', rows, '--valid', rows, '--config', config, '--watch'],
    ...['--method', 'mora-6', '--steps', '12', '--batch-size', '4', '--seed', '9', '--suffix', 'by hand'],
  );
  const [, id = ''] = /^(ftjob-\S+): (?:queued|running), 12 steps on moraine-tiny\.$/m.exec(output) ?? [];
  expect(output).toMatch(/^by hand +━{24} 12\/12 /m);
  expect(output).toContain(`${id}: succeeded, ft:moraine-tiny:`);
  expect(output).toContain(`Get it: npx moraine runs download ${id}`);
  expect(status).toBe(0);
  const run = await client.call('getRun', { params: { id } });
  expect(run.config).toMatchObject({
    adapter: { type: 'mora', mora_type: 6 },
    schedule: { type: 'linear' },
    steps: 12,
    batch_size: 4,
    seed: 9,
  });
  expect(run.validation_file).not.toBeNull();
  // Of a run that has ended watch says the end at once.
  expect(await cli('runs', 'watch', id)).toEqual({
    status: 0,
    output: `${id}: succeeded, ${run.fine_tuned_model}\nGet it: npx moraine runs download ${id}\n`,
  });
});

test('rows with NUL in their texts are trained on, validated and evaluated at the first try, and their samples are kept', async () => {
  const rows = out('nul.jsonl');
  writeFileSync(rows, '{"prompt":"Nalmen\\u0000called","completion":" Kelna\\u0000."}\n'.repeat(12));
  const uploaded = await cli('files', 'upload', rows);
  const [file = ''] = /file-\w+/.exec(uploaded.output) ?? [];
  const config = out('nul.json');
  writeFileSync(config, JSON.stringify({ validation_file: file, evaluation: { files: [file], samples: 2 } }));
  const words = ['--file', file, '--config', config, '--steps', '2', '--batch-size', '4', '--watch'];
  const { status, output } = await cli('runs', 'create', '--model', SHIPPED_BASE, ...words);
  expect(status, output).toBe(0);
  const [id = ''] = /ftjob-\w+/.exec(output) ?? [];
  const run = await client.call('getRun', { params: { id } });
  expect(run).toMatchObject({ status: 'succeeded', error: null, attempts: [{ status: 'finished' }] });
  const { data } = await client.call('listRunEvaluations', { params: { id } });
  expect(data.map(({ step, rows: count }) => [step, count])).toEqual([
    [0, 12],
    [2, 12],
  ]);
  // Postgres has no place for the letter itself.
  for (const { samples } of data) {
    expect(samples).toHaveLength(2);
    for (const sample of samples) {
      expect(sample.prompt).toContain('Nalmen\ufffdcalled');
      expect(sample.expected).toContain('Kelna\ufffd.');
    }
  }
  const events = await client.call('listRunEvents', { params: { id }, query: {} });
  expect(events.data.filter(({ level }) => level === 'error')).toEqual([]);
});

describe('of a run that succeeded', () => {
  test('runs show names its model, tokens, attempt and downloads', async () => {
    const run = runOf('mora-rotation');
    const { status, output } = await cli('runs', 'show', run.id);
    expect(status).toBe(0);
    for (const line of [
      `trained model  ${run.fine_tuned_model}`,
      'method         mora type 6 r8, 2,224 trainable parameters',
      ' linear layers with an adapter (q_proj ',
      'learning rate  0.001 (cosine, 2 steps of warm-up)',
      'step           15 of 15, 24 rows each',
      `tokens         ${run.trained_tokens?.toLocaleString('en')}`,
      'attempts       1 finished',
      `downloads      ${run.exports.join(', ')}`,
    ])
      expect(output).toContain(line);
    expect(output).not.toMatch(/^(why|time left)/m);
  });

  test('runs events has the latest, oldest first, as many as are asked for', async () => {
    const { id, fine_tuned_model: model } = runOf('lora');
    const { status, output } = await cli('runs', 'events', id, '--limit', '3');
    expect(status).toBe(0);
    const lines = output.trimEnd().split('\n');
    const [events, hints] = [lines.filter((line) => /^\d/.test(line)), lines.filter((line) => !/^\d/.test(line))];
    expect(events).toHaveLength(3);
    for (const line of events) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S/);
    expect(events.at(-1)).toContain(`The run succeeded; new model ${model}`);
    expect(hints).toEqual([
      expect.stringMatching(/^There are more: --all lists every one, --after ftevent-\w+ goes on\.$/),
    ]);
    const newest = JSON.parse((await cli('runs', 'events', id, '--limit', '1', '--json')).output);
    expect(newest).toMatchObject([{ object: 'fine_tuning.job.event', level: 'info' }]);
  });

  test('runs checkpoints lists each with its step, losses and model; as JSON what the API says', async () => {
    const { id, fine_tuned_model: model } = runOf('lora');
    const { status, output } = await cli('runs', 'checkpoints', id);
    expect(status).toBe(0);
    const [titles, , newest] = output.split('\n').map((line) => columnsOf(line));
    expect(titles).toEqual(['CHECKPOINT', 'STEP', 'TRAIN', 'VALID', 'SIZE', 'MODEL']);
    expect(newest?.[0]).toMatch(/^ftckpt_/);
    expect(newest?.[1]).toMatch(/^15( \(best\))?$/);
    expect(newest?.at(-1)).toBe(`${model}:ckpt-step-15`);
    const all = JSON.parse((await cli('runs', 'checkpoints', id, '--json')).output);
    expect(all[0]).toMatchObject({ id: newest?.[0], step_number: 15, fine_tuning_job_id: id });
  });

  test('runs evaluations lists each file before and after, with its role', async () => {
    const { id } = runOf('mora-sharing');
    const { status, output } = await cli('runs', 'evaluations', id);
    expect(status).toBe(0);
    const [titles, , ...rows] = output
      .trimEnd()
      .split('\n')
      .map((line) => columnsOf(line));
    expect(titles).toEqual(['FILE', 'ROLE', 'STEP', 'LOSS', 'TOKENS', 'EXACT']);
    expect(new Set(rows.map(([, role]) => role))).toEqual(new Set(['target', 'source']));
    expect(new Set(rows.map(([, , step]) => step))).toEqual(new Set(['0', '15']));
    const { data } = await client.call('listRunEvaluations', { params: { id } });
    expect(JSON.parse((await cli('runs', 'evaluations', id, '--json')).output)).toEqual(data);
    expect(rows).toHaveLength(data.length);
  });

  test('runs metrics has the last value of each metric, and every point as JSON', async () => {
    const { id, progress } = runOf('lora');
    const { status, output } = await cli('runs', 'metrics', id);
    expect(status).toBe(0);
    const loss = output.split('\n').map((line) => columnsOf(line));
    expect(loss.find(([name]) => name === 'train_loss')).toEqual(['train_loss', '15', progress.train_loss?.toFixed(4)]);
    const series: { name: string; points: { step: number }[] }[] = JSON.parse(
      (await cli('runs', 'metrics', id, '--json')).output,
    );
    const steps = series.find(({ name }) => name === 'train_loss')?.points.map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
  });

  test('files download prints its table of results, a line a step', async () => {
    const [file = ''] = runOf('lora').result_files;
    const { status, output } = await cli('files', 'download', file);
    expect(status).toBe(0);
    const [header, ...lines] = output.trimEnd().split('\n');
    expect(header).toBe('step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy');
    expect(lines.map((line) => Number(line.split(',')[0]))).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
    for (const line of lines) expect(Number(line.split(',')[1])).toBeGreaterThan(0);
    expect(
      lines
        .at(-1)
        ?.split(',')
        .slice(3)
        .every((value) => value !== ''),
    ).toBe(true);
  });

  test('runs verify waits for what comes of it, and runs show has it afterwards', async () => {
    const { id } = runOf('lora');
    const { status, output } = await cli('runs', 'verify', id);
    expect(output).toMatch(/^equal: Resumed from step \d+, steps \d+ to 15 repeat to the bit what the run recorded: /);
    expect(status).toBe(0);
    expect((await cli('runs', 'show', id)).output).toMatch(/^resume +equal: Resumed from step/m);
  });

  test('runs logs has the lines of its worker, in order', async () => {
    const { status, output } = await cli('runs', 'logs', runOf('lora').id);
    expect(status).toBe(0);
    const lines = output.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z 1 (debug|info|warn|error) +\S/);
    expect(lines).toEqual(lines.toSorted((a, b) => a.slice(0, 24).localeCompare(b.slice(0, 24))));
  });

  test.each([
    ['lora', 'native', ['adapter_config.json', 'adapter_model.safetensors'], '--adapter'],
    ['mora-sharing', 'native', ['mora_config.json', 'mora_model.safetensors'], '--adapter'],
    ['mora-sharing', 'peft', ['adapter_config.json', 'adapter_model.safetensors'], '--adapter'],
    ['lora', 'merged', ['config.json', 'model.safetensors', 'tokenizer.json'], '--base'],
  ])(
    'runs download unpacks into a folder that the next command can use: %s as %s',
    async (suffix, format, members, option) => {
      const dir = out(`${suffix} ${format}`);
      const words = ['runs', 'download', runOf(suffix).id, '--format', format, '--out', dir];
      const { status, output } = await cli(...words);
      expect(status).toBe(0);
      expect(output).toContain(`${dir}\nTry it: npx moraine local generate`);
      expect(output).toContain(`${option} '${dir}' --prompt`);
      // Of what was stored it is known how it compares with what was trained.
      if (format !== 'merged') expect(output).toMatch(/Read back and compared with what was trained on \d+ tokens/);
      expect(readdirSync(dir)).toEqual(expect.arrayContaining(members));
      expect(readdirSync(dataDir).filter((name) => name.endsWith('.part'))).toEqual([]);
      const given = option === '--base' ? ['--base', dir] : ['--base', baseDir, '--adapter', dir];
      const answer = await moraineOnce(['local', 'generate', ...given, '--prompt', 'Kelna', '--max-new-tokens', '3']);
      expect(answer.status, answer.output).toBe(0);
      const again = await cli(...words);
      expect([again.status, again.output]).toEqual([
        1,
        expect.stringContaining(`${dir} is there already, and not empty.`),
      ]);
    },
  );

  test('runs download keeps the tar where its name ends so', async () => {
    const file = out('lora.tar');
    const { status, output } = await cli('runs', 'download', runOf('lora').id, '--out', file);
    expect([status, output]).toEqual([0, `${file}\n`]);
    expect(execFileSync('tar', ['-tf', file], { encoding: 'utf8' })).toContain('adapter_model.safetensors');
  });

  test('models ls has its model beside the base', async () => {
    const rows = (await cli('models', 'ls')).output.split('\n').slice(2).map(columnsOf);
    const run = runOf('lora');
    expect(rows.find(([id]) => id === run.fine_tuned_model)?.slice(1)).toEqual(
      expect.arrayContaining(['fine-tuned', run.id]),
    );
    expect(rows.find(([id]) => id === SHIPPED_BASE)?.[1]).toBe('base');
  });
});

describe('evaluations', () => {
  const words = ['--suite', 'choices', '--limit', '6', '--seed', '1'];
  let file: string;
  let base: string;
  let tuned: string;
  beforeAll(() => {
    file = out('questions.jsonl');
    const rows = Array.from({ length: 9 }, (_, i) => ({
      query: `${i} and`,
      choices: ['one', 'two more'],
      gold: i % 2,
    }));
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const run = runOf('lora');
    [base, tuned] = [run.model, run.fine_tuned_model ?? ''];
  });

  test('eval uploads the file, waits and prints the figures; as JSON the evaluation as it ended', async () => {
    const { status, output } = await cli('eval', file, '--model', base, ...words);
    expect(status).toBe(0);
    expect(output).toMatch(/^evaltask_\w+: succeeded\nYour own questions with choices: 6 items; intervals of 95 %$/m);
    expect(output).toMatch(/^acc +\d+\.\d\d % {2}\[\d+\.\d\d %, \d+\.\d\d %\] {2}chance 50\.00 %: at chance$/m);
    const ended = JSON.parse((await cli('eval', file, '--model', tuned, '--lambda', '0', ...words, '--json')).output);
    expect(ended).toMatchObject({ object: 'evaluation.task', status: 'succeeded', model: tuned, lambda: 0, seed: 1 });
  });

  test('ls, show, items, events, watch and compare say what the API says, at λ 0 that nothing differs', async () => {
    const ls = async (...more: string[]) => JSON.parse((await cli('evaluations', 'ls', ...more, '--json')).output);
    const [[atZero], [ofBase]] = [await ls('--model', tuned), await ls('--model', base, '--status', 'succeeded')];
    const { output: table } = await cli('evaluations', 'ls', '--suite', 'choices');
    expect(columnsOf(table.split('\n')[2])).toEqual([
      atZero.id,
      'succeeded',
      'choices',
      '6/6',
      expect.stringMatching(/%$/),
      tuned,
      '0',
    ]);
    const { output: shown } = await cli('evaluations', 'show', atZero.id);
    expect(shown).toContain(`sha256 ${atZero.tuned.sha256}, step 15`);
    expect(shown).toContain('6, drawn with seed 1');
    const items = async (id: string) =>
      (await cli('evaluations', 'items', id, '--json')).output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    expect(await items(atZero.id)).toEqual(await items(ofBase.id));
    expect((await items(ofBase.id)).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const { output: first } = await cli('evaluations', 'items', ofBase.id, '--limit', '1');
    expect(first).toMatch(/^0 {2}\d (right|wrong)?/);
    expect(first).toContain('There are more: --all lists every one, --after 0 goes on.');
    expect((await cli('evaluations', 'events', ofBase.id)).output).toContain('The evaluation succeeded: acc ');
    expect((await cli('evaluations', 'watch', ofBase.id)).status).toBe(0);
    const { output } = await cli('evaluations', 'compare', atZero.id, '--with', ofBase.id);
    expect(output).toContain('acc on the same 6 items');
    expect(output).toContain('difference 0.00 %  [0.00 %, 0.00 %]');
    expect(output).toContain('this alone 0, the baseline alone 0');
  });

  test('create queues one, cancel ends it, and what is wrong is said', async () => {
    const { output } = await cli('evaluations', 'create', '--model', base, '--file', file, ...words, '--pool', 'none');
    const [, id = ''] = /^(evaltask_\w+): queued\.$/m.exec(output) ?? [];
    expect((await cli('evaluations', 'cancel', id)).output).toBe(`${id}: cancelled\n`);
    expect((await cli('evaluations', 'watch', id)).status).toBe(1);
    const refused = await cli('eval', file, '--model', base, '--suite', 'choises');
    expect([refused.status, refused.output]).toEqual([1, expect.stringContaining("Did you mean 'choices'?")]);
    const none = await cli('evaluations', 'compare', id, '--with', 'evaltask_none');
    expect([none.status, none.output]).toEqual([1, expect.stringContaining("No evaluation 'evaltask_none'")]);
  });
});

describe('analyses', () => {
  test('of weights and of canaries are created, watched, listed, shown, read row by row and cancelled', async () => {
    const { id: run, model: base, fine_tuned_model } = runOf('lora');
    const tuned = fine_tuned_model ?? '';
    const of = (kind: string, ...words: string[]) =>
      cli('analyses', 'create', '--kind', kind, '--model', tuned, ...words);
    const { status, output } = await of('weights', '--layers', 'layers.0.self_attn.q_proj', '--watch');
    const [, id = ''] = /^(analysis_\w+): succeeded$/m.exec(output) ?? [];
    expect([status, id]).toEqual([0, expect.stringMatching(/^analysis_/)]);
    expect(output).toMatch(/q_proj +1 +0\.\d{5}/);
    const [listed] = JSON.parse((await cli('analyses', 'ls', '--run', run, '--kind', 'weights', '--json')).output);
    expect([listed.id, listed.tuned.step]).toEqual([id, 15]);
    expect((await cli('analyses', 'ls', '--model', tuned)).output).toContain(`${id}  succeeded  weights`);
    const shown = (await cli('analyses', 'show', id)).output;
    expect(shown).toContain(`sha256 ${listed.tuned.sha256}, step 15`);
    expect(shown).toMatch(/^epsilon +0\.5$/m);
    const whole = JSON.parse((await cli('analyses', 'rows', id, '--json')).output);
    expect(whole).toMatchObject({ index: 0, row: { source: tuned, singular_values: expect.any(Array) } });
    expect((await cli('analyses', 'rows', id)).output).toContain('layers.0.self_attn.q_proj');
    expect((await cli('analyses', 'events', id)).output).toContain('The analysis succeeded: 1 layers');

    const file = out('canaries.json');
    const drawn = drawCanaries('digits', { count: 1, controls: 1, seed: 1 });
    const planted = { kind: 'digits', seed: 1, repeat: 1, row_format: 'prompt_completion', ...drawn };
    writeFileSync(file, JSON.stringify({ format: 'moraine-canaries', format_version: 1, ...planted }));
    const measured = await of('canaries', '--file', file, '--watch');
    expect([measured.status, measured.output]).toEqual([0, expect.stringMatching(/^planted +1 .*\ncontrols +1 /m)]);
    const [, other = ''] = /^(analysis_\w+): succeeded$/m.exec(measured.output) ?? [];
    expect((await cli('analyses', 'rows', other)).output).toMatch(/^control-1 +\d+ of 1024 /m);

    const waiting = JSON.parse((await of('weights', '--pool', 'none', '--json')).output);
    expect((await cli('analyses', 'cancel', waiting.id)).output).toBe(`${waiting.id}: cancelled\n`);
    expect((await cli('analyses', 'watch', waiting.id)).status).toBe(1);
    const refused = await cli('analyses', 'create', '--kind', 'weights', '--model', base);
    expect([refused.status, refused.output]).toEqual([1, expect.stringContaining('is a base')]);
    expect((await of('weights', '--file', file)).output).toContain('--file has no meaning for weights');
  });
});

test('a run is paused at a checkpoint of its step and goes on from there, and a webhook hears of it', async () => {
  const heard: { type: string; id: string }[] = [];
  const receiver = createServer((request, response) => {
    text(request)
      .then((body) => heard.push({ type: JSON.parse(body).type, id: JSON.parse(body).data.id }))
      .finally(() => response.end())
      .catch(() => undefined);
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/heard`;
  const hook = JSON.parse((await cli('webhooks', 'create', url, '--json')).output);
  const tested = await cli('webhooks', 'test', hook.id);
  expect([tested.status, tested.output]).toEqual([0, expect.stringMatching(/^Delivered: it answered 200 after/)]);

  const training_file = runOf('lora').training_file;
  const { id } = await client.call('createRun', {
    body: { model: runOf('lora').model, training_file, max_steps: 18_000 },
  });
  const now = () => client.call('getRun', { params: { id } });
  await expect.poll(async () => (await now()).progress.step, { timeout: 60_000 }).toBeGreaterThan(3);
  await cli('runs', 'pause', id);
  await expect.poll(async () => (await now()).status, { timeout: 20_000 }).toBe('paused');
  const { progress, attempts, state_reason: reason } = await now();
  expect(reason).toMatchObject({ code: 'paused', message: expect.stringContaining('when it is resumed') });
  expect(attempts.map(({ status }) => status)).toEqual(['superseded']);
  const [saved] = JSON.parse((await cli('runs', 'checkpoints', id, '--json')).output);
  expect(saved.step_number).toBe(progress.step);
  expect((await cli('runs', 'resume', id)).output).toBe(`${id}: queued\n`);
  await expect.poll(async () => (await now()).progress.step, { timeout: 60_000 }).toBeGreaterThan(progress.step + 1);
  expect((await now()).attempts.at(-1)?.start_step).toBe(progress.step);
  expect((await cli('runs', 'cancel', id)).status).toBe(0);

  const words = ['webhook.test', ...['paused', 'resumed', 'cancelled'].map((word) => `fine_tuning.job.${word}`)];
  await expect.poll(() => heard.map(({ type }) => type), { timeout: 30_000 }).toEqual(words);
  expect(heard.slice(1).every((event) => event.id === id)).toBe(true);
  const listed = (await cli('webhooks', 'deliveries', hook.id)).output.split('\n').map((line) => columnsOf(line));
  expect(listed.filter(([one]) => one?.startsWith('whd_')).map(([, event, status]) => [event, status])).toEqual(
    words.toReversed().map((word) => [word, 'delivered']),
  );
  expect((await cli('webhooks', 'delete', hook.id)).status).toBe(0);
  receiver.close();
});

test('a worker is cordoned, takes tasks again, and drains by its name; another is started in its place', async () => {
  const [worker] = (await client.call('listWorkers')).data.filter(({ status }) => status !== 'lost');
  const { name, id } = worker ?? { name: '', id: '' };
  expect((await cli('workers', 'cordon', name)).output).toBe(`${name} (${id}): cordoned; it takes nothing new.\n`);
  expect((await cli('workers', 'ls')).output).toMatch(/ cordoned /);
  expect((await cli('workers', 'uncordon', id)).output).toContain(': ready; it takes tasks again.');
  expect(JSON.parse((await cli('workers', 'drain', name, '--json')).output)).toMatchObject({ id, status: 'draining' });
  await expect
    .poll(async () => (await client.call('listWorkers')).data.map((one) => [one.id === id, one.status]), {
      timeout: 90_000,
    })
    .toEqual([[false, 'ready']]);
  const { status, output } = await cli('workers', 'cordon', 'nobody');
  expect(status).toBe(1);
  expect(output).toContain("No worker 'nobody'.");
});

test('status lists the worker and what it computes on', async () => {
  const { status, output } = await cli('status');
  const lines = output.trimEnd().split('\n');
  expect(status).toBe(0);
  expect(lines[0]).toBe(`The stack on ${dataDir} is at ${address.origin} (process ${up.child.pid}).`);
  expect(columnsOf(lines[1]).slice(0, 3)).toEqual(['WORKER', 'STATUS', 'DEVICE']);
  expect(lines).toHaveLength(4);
  expect(columnsOf(lines[3])[0]).toMatch(/-worker-1$/);
});

test('status of a stack whose supervisor was killed names what it left running', async () => {
  process.kill(up.child.pid ?? 0, 'SIGKILL');
  await up.ended;
  const { status, output } = await cli('status');
  expect(status).toBe(1);
  expect(output).toMatch(
    /^No stack runs on .*\nLeft by one that was killed, and taken over by the next start: .*worker-1 \(process \d+\).*\.\n$/,
  );
  expect(output).toMatch(/api \(process \d+\)/);
});
