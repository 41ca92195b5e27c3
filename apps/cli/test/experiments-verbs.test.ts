import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ExperimentObject } from '@moraine/contract';
import { advanceExperiment } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CliApi, openApi } from './api.js';
import { columnsOf } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// Every verb about an experiment against the real API; no worker is there, so that its runs stay queued.
let { api, client, cli, json, at, close } = {} as CliApi;
let id: string;

const rowsOf = (count: number, word: string): string =>
  Array.from({ length: count }, (_, i) => `{"prompt":"${word} ${i}","completion":"b"}\n`).join('');

const FILE = `
name: which rate
model: tiny
training_file: rows/train.jsonl
evaluation: { validation: rows/valid.jsonl, test: rows/test.jsonl }
fixed: { max_steps: 7, batch_size: 4 }
arms:
  - { name: small, adapter: { type: lora, rank: 2 }, learning_rates: [1.0e-3] }
  - { name: whole, adapter: full, learning_rates: [1.0e-4] }
seeds: { final: [2, 3, 4] }
`;

beforeAll(async () => {
  ({ api, client, cli, json, at, close } = await openApi());
  writeTinyBase(at('base'));
  await cli('models', 'add', 'tiny', at('base'));
  mkdirSync(at('rows'));
  for (const [name, count] of [
    ['train', 20],
    ['valid', 9],
    ['test', 10],
  ] as const)
    writeFileSync(at(`rows/${name}.jsonl`), rowsOf(count, name));
  writeFileSync(at('which.yaml'), FILE);
});
afterAll(() => close());

const filesThere = async (): Promise<string[]> =>
  (await client.call('listFiles', { query: {} })).data.map(({ filename }) => filename).sort();

test('ls says that there are none, and how one is run', async () => {
  expect((await cli('experiments', 'ls')).output).toBe(
    'No experiments yet. Run one with `moraine experiments run FILE`.\n',
  );
});

describe('run --dry-run', () => {
  test('uploads the rows by their paths from the file, and shows arms, counts and cost without starting anything', async () => {
    const { status, output } = await cli('experiments', 'run', at('which.yaml'), '--dry-run');
    expect(status).toBe(0);
    expect(await filesThere()).toEqual(['test.jsonl', 'train.jsonl', 'valid.jsonl']);
    const [titles, , small, whole] = output.split('\n').map(columnsOf);
    expect(titles?.slice(0, 3)).toEqual(['ARM', 'METHOD', 'PARAMETERS']);
    expect(small?.slice(0, 2)).toEqual(['small', 'lora r2']);
    expect(whole?.slice(0, 3)).toEqual(['whole', 'full', '18,992']);
    expect(output).toMatch(/^runs +6$/m);
    expect(output).toMatch(/^cost .* of one worker; \d+ there now; a rough estimate/m);
    expect((await client.call('listExperiments', { query: {} })).data).toEqual([]);
  });

  test('once more uploads nothing again; as JSON it is the plan of the API', async () => {
    const plan = await json('experiments', 'run', at('which.yaml'), '--dry-run');
    expect(plan).toMatchObject({ object: 'experiment', id: 'exp_dry-run', runs: { least: 6, most: 6, made: 0 } });
    expect(await filesThere()).toHaveLength(3);
  });

  test('of a file with a wrong key says what the server says of it', async () => {
    writeFileSync(at('wrong.yaml'), FILE.replace('fixed:', 'fixd:'));
    const { status, output } = await cli('experiments', 'run', at('wrong.yaml'), '--dry-run');
    expect([status, output]).toEqual([1, expect.stringContaining("Did you mean 'fixed'?")]);
  });

  test('of a file whose rows are nowhere names them', async () => {
    writeFileSync(at('lost.yaml'), FILE.replace('rows/valid', 'rows/lost'));
    const { status, output } = await cli('experiments', 'run', at('lost.yaml'), '--dry-run');
    expect([status, output]).toEqual([1, expect.stringMatching(/There is no file .*lost\.jsonl/)]);
  });
});

describe('an experiment that runs', () => {
  beforeAll(async () => {
    const body = await json('experiments', 'run', at('which.yaml'), '--dry-run');
    ({ id } = await client.call('createExperiment', { body: { ...body.request, dry_run: false } }));
  });

  test('is listed with its arms, and by its status', async () => {
    const row = columnsOf((await cli('experiments', 'ls')).output.split('\n')[2]);
    expect(row).toEqual([id, 'which rate', 'running', 'tiny', '0/6', 'small, whole']);
    expect((await json('experiments', 'ls', '--status', 'running')).map((one: ExperimentObject) => one.id)).toEqual([
      id,
    ]);
    expect((await cli('experiments', 'ls', '--status', 'paused')).output).toBe('None is paused.\n');
  });

  test('is shown with what it asks, a line an arm and a line a run', async () => {
    const { status, output } = await cli('experiments', 'show', id);
    expect(status).toBe(0);
    expect(output).toMatch(new RegExp(`^experiment +${id} \\(which rate\\)$`, 'm'));
    expect(output).toMatch(/^runs +0 ended of 6; 6 to 6 in all$/m);
    expect(output).toMatch(/^small +final +░{16} +0 % +0\/3 /m);
    expect(output.match(/^whole +final +0\.0001 +[234] +queued +0\/7 +ftjob-\w+$/gm)).toHaveLength(3);
    expect(output).not.toMatch(/^(why|clone of|differs in)/m);
    expect(await json('experiments', 'show', id)).toMatchObject({ object: 'experiment', id, status: 'running' });
  });

  test('has no verdict yet, and says why', async () => {
    const verdict = await json('experiments', 'verdict', id, '--keep', '0.1');
    expect(verdict).toMatchObject({ object: 'experiment.verdict', decision: 'do_not_use', runs_unmeasured: 6 });
    const { status, output } = await cli('experiments', 'verdict', id, '--metric', 'loss');
    expect([status, output]).toEqual([0, expect.stringContaining(`Do not use: ${verdict.reason}`)]);
  });

  test('is paused and resumed with all of its runs', async () => {
    const statuses = async () =>
      new Set((await client.call('getExperiment', { params: { id } })).cells.map(({ status }) => status));
    expect((await cli('experiments', 'pause', id)).output).toBe(`${id}: paused\n`);
    expect(await statuses()).toEqual(new Set(['paused']));
    expect(await json('experiments', 'pause', id)).toMatchObject({ id, status: 'paused' });
    expect((await cli('experiments', 'resume', id)).output).toBe(`${id}: running\n`);
    expect(await statuses()).toEqual(new Set(['queued']));
  });

  test('grows by seeds and by the arms of a file', async () => {
    const grown = await json('experiments', 'grow', id, '--seed', '5', '--seed', '6');
    expect(grown.runs).toMatchObject({ least: 10, most: 10 });
    writeFileSync(
      at('arms.yaml'),
      'arms:\n  - { name: more, adapter: { type: lora, rank: 4 }, learning_rates: [2.0e-3] }\n',
    );
    const { output } = await cli('experiments', 'grow', id, '--arms', at('arms.yaml'));
    expect(output).toMatch(/^runs +0 ended of 15; 15 to 15 in all$/m);
    expect(output).toMatch(/^more +final .* 0\/5 /m);
  });

  test.each([
    [['grow', '--seed', 'five'], "--seed is 'five', which is no whole number.", 2],
    [['grow', '--max-runs', '2'], "--max-runs is '2'", 2],
    [['grow'], 'There is nothing to add.', 2],
    [['clone', '--with', 'none.yaml'], 'none.yaml cannot be read', 1],
    [['verdict', '--keep', '-1'], "--keep is '-1'", 2],
  ])('%j is refused', async ([verb = '', ...words], message, wanted) => {
    const { status, output } = await cli('experiments', verb, id, ...words);
    expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
  });

  test('is cloned with the keys of a file changed, under a name of its own, and says in what it differs', async () => {
    writeFileSync(at('changes.yaml'), 'fixed: { max_steps: 9, batch_size: 4 }\n');
    const { output } = await cli('experiments', 'clone', id, '--name', 'longer', '--with', at('changes.yaml'));
    expect(output).toMatch(new RegExp(`^clone of +${id}$`, 'm'));
    expect(output).toMatch(/^differs in +.*fixed\.max_steps: 7 → 9/m);
    const [, clone = ''] = /^experiment +(exp_\w+) \(longer\)$/m.exec(output) ?? [];
    expect(await json('experiments', 'show', clone)).toMatchObject({
      ...{ name: 'longer', cloned_from: id, request: { fixed: { max_steps: 9 } } },
    });
    expect((await cli('experiments', 'cancel', clone)).output).toBe(`${clone}: cancelled\n`);
    expect((await cli('experiments', 'ls', '--limit', '1')).output).toContain('There are more');
    expect((await json('experiments', 'ls', '--all')).length).toBe(2);
  });

  test('that is cancelled is watched to its end at once, with status 1, and run again from its file is another', async () => {
    expect((await cli('experiments', 'cancel', id)).output).toBe(`${id}: cancelled\n`);
    await advanceExperiment(api.services, id);
    const { status, output } = await cli('experiments', 'watch', id);
    expect(status).toBe(1);
    expect(output).toMatch(new RegExp(`^${id}: cancelled after \\d+ runs`, 'm'));
    expect(await json('experiments', 'watch', id)).toMatchObject({ id, status: 'cancelled' });
    const refused = await cli('experiments', 'resume', id);
    expect([refused.status, refused.output]).toEqual([1, expect.stringContaining('cancelled')]);
  });

  test('has its results in a file, whose name is printed', async () => {
    const out = at('table.csv');
    expect((await cli('experiments', 'table', id, '--format', 'csv', '--out', out)).output).toBe(`${out}\n`);
    expect(readFileSync(out, 'utf8')).toMatch(/^arm,method,/);
    const curves = at('curves.json');
    await cli('experiments', 'curves', id, '--format', 'json', '--out', path.relative(process.cwd(), curves));
    expect(JSON.parse(readFileSync(curves, 'utf8'))).toMatchObject({ object: 'experiment.curves' });
  });
});

test('an experiment that there is not is not found, by any verb', async () => {
  for (const verb of ['show', 'watch', 'verdict', 'pause', 'resume', 'cancel', 'table', 'report']) {
    const { status, output } = await cli('experiments', verb, 'exp_none');
    expect([verb, status, output]).toEqual([verb, 1, expect.stringContaining("'exp_none'")]);
  }
});
