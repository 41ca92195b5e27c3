import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { claimRun, heartbeatWorker } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare, registerTestWorker, submit, train } from '../../api/test/fixtures.js';
import { type CliApi, openApi } from './api.js';
import { mcpTests } from './mcp-tests.js';
import { columnsOf } from './stack.js';

// A run that a worker of this process has ended, and a fleet of such workers: what every list about them says.
let opened: CliApi;
let { api, client, cli, json, at, close } = {} as CliApi;
let made: { model: string; file: string };
let id: string;

beforeAll(async () => {
  opened = await openApi();
  ({ api, client, cli, json, at, close } = opened);
  made = await prepare(api);
  ({ id } = await submit(api, made, { suffix: 'ended', metadata: { team: 'blue' } }));
  await train(api.services, id);
});
afterAll(() => close());

describe('of a run that has ended', () => {
  test('runs show says what it trained, how it ended and what there is to download', async () => {
    const { status, output } = await cli('runs', 'show', id);
    expect(status).toBe(0);
    for (const [label, value] of [
      ['run', id],
      ['status', 'succeeded'],
      ['model', made.model],
      ['step', '10 of 10, 2 rows each'],
      ['loss', '0.3000'],
      ['tokens', '1,234'],
      ['attempts', '1 finished'],
      ['downloads', 'adapter, peft'],
    ] as const)
      expect(output).toMatch(new RegExp(`^${label} +${value}`, 'm'));
    expect(output).toMatch(/^trained model +ft:tiny:\S*:ended:/m);
    expect(output).toMatch(/^method +LoRA r2, [\d,]+ trainable parameters$/im);
    expect(output).not.toMatch(/^time left/m);
    expect(output).toMatch(/^\d\d:\d\d:\d\d .*succeeded/m);
  });

  test('runs metrics has the last value of each metric, in the range of steps that is asked for', async () => {
    const rows = (await cli('runs', 'metrics', id)).output.split('\n').slice(2).map(columnsOf);
    expect(rows).toEqual(
      expect.arrayContaining([
        ['train_loss', '10', '0.3000'],
        ['learning_rate', '10', '0.0010'],
      ]),
    );
    const { output } = await cli('runs', 'metrics', id, '--names', 'train_loss', '--from', '2', '--to', '4');
    expect(output.split('\n').slice(2).map(columnsOf)).toEqual([['train_loss', '4', '0.7500'], ['']]);
    const [series] = await json('runs', 'metrics', id, '--names', 'train_loss', '--buckets', '2');
    expect(series.points).toHaveLength(2);
    expect((await cli('runs', 'metrics', id, '--buckets', '0')).status).toBe(2);
  });

  test('runs checkpoints lists the newest first, with step, losses and the name it is used by', async () => {
    const { output } = await cli('runs', 'checkpoints', id);
    const rows = output.trimEnd().split('\n').slice(2).map(columnsOf);
    expect(rows.map((row) => row.slice(1, 3))).toEqual([['10', '0.3000'], [' 5', '0.6000'].map((cell) => cell.trim())]);
    expect(rows[0]?.at(-1)).toMatch(/^ft:tiny:.*:ckpt-step-10$/);
    const first = await cli('runs', 'checkpoints', id, '--limit', '1');
    expect(first.output).toContain(`There are more: --all lists every one, --after ${rows[0]?.[0]} goes on.`);
    expect((await json('runs', 'checkpoints', id, '--after', rows[0]?.[0] ?? ''))[0].step_number).toBe(5);
  });

  test('runs logs has its lines with time, attempt and level, of the attempt that is asked for', async () => {
    expect((await cli('runs', 'logs', id)).output).toMatch(/^\d{4}-\S+Z 1 info {2}ten steps done\n$/);
    expect((await cli('runs', 'logs', id, '--attempt', '2')).output).toBe('');
    const { output } = await cli('runs', 'logs', id, '--json');
    expect(JSON.parse(output)).toMatchObject({ attempt: 1, level: 'info', message: 'ten steps done' });
  });

  test('runs watch says its end at once, with the model and how it is fetched', async () => {
    const { fine_tuned_model: model } = await client.call('getRun', { params: { id } });
    expect(await cli('runs', 'watch', id)).toEqual({
      status: 0,
      output: `${id}: succeeded, ${model}\nGet it: npx moraine runs download ${id}\n`,
    });
    expect(await json('runs', 'watch', id)).toMatchObject({ id, status: 'succeeded' });
  });

  test('models lists and shows what it made beside its base, and rm of it says what goes', async () => {
    const { fine_tuned_model: model = '' } = await client.call('getRun', { params: { id } });
    const row = (await cli('models', 'ls')).output
      .split('\n')
      .map(columnsOf)
      .find(([name]) => name === model);
    expect(row?.slice(1)).toEqual(expect.arrayContaining(['fine-tuned', id]));
    const { output } = await cli('models', 'show', model ?? '');
    expect(output).toMatch(/^kind +fine-tuned$/m);
    expect(output).toContain(id);
  });
});

describe('runs download', () => {
  test.each([
    ['native', ['adapter_config.json', 'adapter_model.safetensors']],
    ['peft', ['adapter_config.json', 'adapter_model.safetensors']],
  ])('as %s is a folder with its files, whole or not at all, and never over another one', async (format, members) => {
    const out = at(`as ${format}`);
    const words = ['runs', 'download', id, '--format', format, '--out', out];
    const { status, output } = await cli(...words);
    expect(status).toBe(0);
    expect(output.split('\n').slice(0, 2)).toEqual([
      out,
      `Try it: npx moraine local generate --base path/to/tiny --adapter '${out}' --prompt "…"`,
    ]);
    expect(readdirSync(out)).toEqual(expect.arrayContaining(members));
    expect(existsSync(`${out}.part`)).toBe(false);
    const before = readFileSync(`${out}/adapter_model.safetensors`);
    expect(await cli(...words)).toMatchObject({
      status: 1,
      output: expect.stringContaining(`${out} is there already, and not empty. Name another folder with --out.`),
    });
    expect(readFileSync(`${out}/adapter_model.safetensors`).equals(before)).toBe(true);
  });

  test('into a name that ends in .tar is the tar of the API; as JSON it says where', async () => {
    const out = at('it.tar');
    expect(await json('runs', 'download', id, '--out', out)).toEqual({
      run_id: id,
      format: 'native',
      lambda: 1,
      path: out,
    });
    expect(execFileSync('tar', ['-tf', out], { encoding: 'utf8' })).toContain('adapter_model.safetensors');
  });

  test.each([
    [['--format', 'lora'], 'rank', 1],
    [['--rank', '0'], "--rank is '0'", 2],
    [['--lambda', '1.5'], "--lambda is '1.5'", 2],
    [['--allow-error', '2'], "--allow-error is '2'", 2],
  ])('with %j is refused and leaves nothing', async (words, message, wanted) => {
    const out = at('refused');
    const { status, output } = await cli('runs', 'download', id, '--out', out, ...words);
    expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
    expect([existsSync(out), existsSync(`${out}.part`)]).toEqual([false, false]);
  });
});

describe('runs create', () => {
  const rows = (word: string): string =>
    Array.from({ length: 24 }, (_, i) => `{"prompt":"${word} ${i}","completion":"b"}\n`).join('');
  beforeAll(() => {
    for (const name of ['new', 'old', 'valid']) writeFileSync(at(`${name}.jsonl`), rows(name));
  });
  const nameOf = async (file: string): Promise<string> =>
    (await client.call('getFile', { params: { id: file } })).filename;

  test('uploads training, validation and mixed files, and passes weights and roles on', async () => {
    const words = ['--file', at('new.jsonl'), '--valid', at('valid.jsonl'), '--mix', `${at('old.jsonl')}:0.25:source`];
    const run = await json('runs', 'create', '--model', 'tiny', ...words, '--steps', '3', '--suffix', 'mixed');
    expect(await Promise.all([run.training_file, run.validation_file].map(nameOf))).toEqual([
      'new.jsonl',
      'valid.jsonl',
    ]);
    const [own, entry] = run.config.data_mix;
    expect(own).toMatchObject({ file_id: run.training_file, weight: 1, role: 'target' });
    expect(entry).toMatchObject({ weight: 0.25, role: 'source' });
    expect(await nameOf(entry.file_id)).toBe('old.jsonl');
    expect(run.suffix ?? run.name).toContain('mixed');
    await cli('runs', 'cancel', run.id);
  });

  test('takes keys of a configuration file, its files too, and options before them', async () => {
    const config = at('config.json');
    const mix = [{ file_id: at('old.jsonl'), weight: 2 }];
    const keys = { model: 'tiny', training_file: at('new.jsonl'), max_steps: 9, batch_size: 4, data_mix: mix };
    writeFileSync(config, JSON.stringify({ ...keys, optimizer: { learning_rate: 0.5, weight_decay: 0.1 } }));
    const run = await json('runs', 'create', '--config', config, '--steps', '5', '--lr', '0.002');
    expect(run).toMatchObject({ model: 'tiny', progress: { steps: 5 }, config: { batch_size: 4 } });
    expect(run.config.optimizer).toMatchObject({ learning_rate: 0.002, weight_decay: 0.1 });
    expect(run.config.data_mix[1].weight).toBe(2);
    expect(await nameOf(run.config.data_mix[1].file_id)).toBe('old.jsonl');
    await cli('runs', 'cancel', run.id);
    const stopped = await cli('runs', 'create', '--config', config, '--patience', '3');
    expect([stopped.status, stopped.output]).toEqual([1, expect.stringContaining("'early_stopping' follows")]);
  });

  test('--dry-run says which part of the run each file of the mix is', async () => {
    const words = ['--model', 'tiny', '--file', at('new.jsonl'), '--mix', `${at('old.jsonl')}:0.5:source`, '--dry-run'];
    const { status, output } = await cli('runs', 'create', ...words, '--steps', '6');
    expect(status).toBe(0);
    expect(output).toMatch(/^data_mix\[0\]\.file_id \(file-\w+\): source, 33\.3 % of the rows/m);
  });
});

describe('import', () => {
  const job = {
    object: 'fine_tuning.job',
    id: 'ftjob-theirs',
    model: 'gpt-4o-mini-2024-07-18',
    training_file: 'file-theirs',
    validation_file: 'file-also',
    hyperparameters: { n_epochs: 2, batch_size: 6, learning_rate_multiplier: 0.5 },
    seed: 11,
    user_provided_suffix: 'moved',
    metadata: { team: 'red' },
    integrations: [{ type: 'wandb', wandb: { project: 'p' } }],
  };
  const words = (...rest: string[]) => ['import', at('job.json'), '--training-file', at('rows.jsonl'), ...rest];
  beforeAll(() => {
    writeFileSync(at('job.json'), `\ufeff${JSON.stringify(job)}`);
    writeFileSync(
      at('rows.jsonl'),
      Array.from({ length: 24 }, (_, i) => `{"prompt":"r${i}","completion":"b"}\n`).join(''),
    );
  });

  test('as a dry run says line by line what is kept and what is not, then the configuration, and queues nothing', async () => {
    const { data: before } = await client.call('listRuns', {});
    const { status, output } = await cli(...words('--base', 'tiny', '--dry-run'));
    expect(status).toBe(0);
    expect(output).toMatch(/^The OpenAI job ftjob-theirs$/m);
    expect(output).toMatch(/^ {2}hyperparameters\.learning_rate_multiplier +0\.5, of the automatic rate/m);
    expect(output).toMatch(/^dropped:\n {2}integrations +\w/m);
    expect(output).toMatch(/^ {2}validation_file +file-also: give its rows with --validation-file$/m);
    expect(output).toContain('"n_epochs": 2');
    const { data: after } = await client.call('listRuns', {});
    expect(after.length).toBe(before.length);
  });

  test('queues the same run on the base, found by the id of the old job; options count more than the job', async () => {
    const { provider, dropped, run } = await json(
      ...words('--base', 'tiny', '--batch-size', '4', '--validation-split', '0.25'),
    );
    expect([provider, dropped.map(({ key }: { key: string }) => key)]).toEqual(['OpenAI', ['integrations']]);
    expect(run).toMatchObject({ model: 'tiny', seed: 11, metadata: { team: 'red', moved_from: 'ftjob-theirs' } });
    expect(run.config).toMatchObject({ n_epochs: 2, batch_size: 4, learning_rate_multiplier: 0.5 });
    expect(run.validation_file).toMatch(/^file-/);
    const faster = await json(...words('--base', 'tiny', '--lr', '0.003', '--dry-run'));
    expect(faster.run.config.optimizer.learning_rate).toBe(0.003);
    const found = await json('runs', 'ls', '--metadata', 'moved_from=ftjob-theirs');
    expect(found.map((one: { id: string }) => one.id)).toEqual([run.id]);
    await cli('runs', 'cancel', run.id);
  });

  test.each([
    [['--base', 'nowhere'], 'nowhere'],
    [[], '--base is missing'],
  ])('with %j is refused', async (rest, message) => {
    const { status, output } = await cli(...words(...rest));
    expect([status > 0, output]).toEqual([true, expect.stringContaining(message)]);
  });
});

describe('mcp', () => mcpTests(() => ({ ...opened, made, ended: id })));

test('estimate names the memory by its parts, the time by its basis, and the worker that it fits', async () => {
  await registerTestWorker(api.services, { name: 'large', memoryBytes: 64e9 });
  const words = ['--model', 'tiny', '--file', made.file, '--steps', '40'];
  const { status, output } = await cli('estimate', ...words);
  expect(status).toBe(0);
  expect(output).toMatch(/^Memory +[\d.]+ MB at the peak$/m);
  expect(output).toMatch(/^Steps +40 of \d+ tokens, in micro-batches of /m);
  expect(output).toMatch(/^Fits \d+ of \d+ workers\.$/m);
  expect(output).not.toContain('Beside it');
  expect(await json('estimate', ...words)).toMatchObject({ object: 'fine_tuning.estimate' });
  writeFileSync(at('analyses.json'), JSON.stringify({ evaluation: { analyses: [{ kind: 'weights' }] } }));
  const asked = [...words, '--config', at('analyses.json')];
  expect((await cli('estimate', ...asked)).output).toMatch(
    /^Beside it +1 analyses, of which none like them has ended yet$/m,
  );
  expect((await cli('runs', 'create', ...asked, '--dry-run')).output).toContain('Beside it at least 1 analyses, ');
});

describe('of a fleet', () => {
  let busy: string;
  let running: string;
  beforeAll(async () => {
    const { services } = api;
    await registerTestWorker(services, {
      name: 'gpu-1',
      pool: 'gpu',
      memoryBytes: 8e9,
      device: { kind: 'gpu', name: 'H200', tensorflow: '2.21', bfloat16: null },
    });
    busy = await registerTestWorker(services, { name: 'gpu-2', pool: 'gpu', memoryBytes: 16e9 });
    ({ id: running } = await submit(api, made, { pool: 'gpu', suffix: 'runs' }));
    await claimRun(services, { workerId: busy, pool: 'gpu' });
    await heartbeatWorker(services, busy, { status: 'busy' });
    for (const suffix of ['next', 'last']) await submit(api, made, { pool: 'gpu', suffix });
  });

  test('workers ls names pool, device, memory and what each has', async () => {
    const rows = (await cli('workers', 'ls')).output.trimEnd().split('\n').map(columnsOf);
    expect(rows[0]).toEqual(['WORKER', 'ID', 'POOL', 'STATUS', 'DEVICE', 'MEMORY', 'SEEN', 'TASK']);
    const rowOf = (name: string) => rows.find(([first]) => first === name);
    expect(rowOf('gpu-1')?.slice(2, 6)).toEqual(['gpu', 'ready', 'H200', '8.0 GB']);
    expect(rowOf('gpu-2')?.slice(1, 4)).toEqual([busy, 'gpu', 'busy']);
    expect(rowOf('gpu-2')?.at(-1)).toBe(running);
    expect(rowOf('gpu-1')?.[6]).toMatch(/^\s*\d+ s ago$/);
  });

  test('pools ls counts workers, what waits, runs and is free, of all or one', async () => {
    const rows = (await cli('pools', 'ls', '--pool', 'gpu')).output.trimEnd().split('\n').map(columnsOf);
    expect(rows).toHaveLength(3);
    expect(rows[2]?.slice(0, 2)).toEqual(['gpu', '1 ready, 1 busy']);
    expect(rows[2]?.slice(2, 6).map((cell) => cell.trim())).toEqual(['2', '1', '0', '1']);
    expect(rows[2]?.[6]).toMatch(/^\s*\d+ s$/);
  });

  test('queue ls has names beside ids, and goes on behind one', async () => {
    const rows = (await cli('queue', 'ls', '--pool', 'gpu')).output.trimEnd().split('\n').slice(2).map(columnsOf);
    expect(rows.map((row) => [row[1]?.trim(), row[3], row[4]])).toEqual([
      ['1', 'next', 'train'],
      ['2', 'last', 'train'],
    ]);
    const behind = await json('queue', 'ls', '--pool', 'gpu', '--after', rows[0]?.[2] ?? '');
    expect(behind.map((one: { name: string }) => one.name)).toEqual(['last']);
  });

  test('a worker is named by its id, or by a name that it alone has', async () => {
    expect((await cli('workers', 'cordon', 'gpu-1')).output).toMatch(
      /^gpu-1 \(wrk_\w+\): cordoned; it takes nothing new\.$/m,
    );
    expect((await cli('workers', 'uncordon', 'gpu-1')).output).toMatch(/: ready; it takes tasks again\.$/m);
    expect(await json('workers', 'drain', busy)).toMatchObject({ id: busy, status: 'draining' });
    await registerTestWorker(api.services, { name: 'gpu-1', pool: 'gpu' });
    const { status, output } = await cli('workers', 'cordon', 'gpu-1');
    expect([status, output]).toEqual([1, expect.stringContaining("No worker 'gpu-1'")]);
    expect((await cli('workers', 'cordon')).output).toContain('The id or name of the worker is missing.');
  });
});

test('rm of several runs says each, and ends at the first that is refused', async () => {
  const { id: waiting } = await submit(api, made, { pool: 'none' });
  const { status, output } = await cli('runs', 'rm', id, waiting);
  expect(status).toBe(1);
  const [first, second] = output.split('\n');
  expect(first).toMatch(
    new RegExp(
      `^${id} \\(.*\\) is deleted and can be restored until .* Take it back with: moraine runs restore ${id}$`,
    ),
  );
  expect(second).toContain(`/v1/fine_tuning/jobs/${waiting}/cancel`);
  expect(await json('runs', 'restore', id)).toMatchObject({ id, status: 'succeeded' });
  expect((await cli('runs', 'rm')).output).toContain('The id of the run is missing.');
});
