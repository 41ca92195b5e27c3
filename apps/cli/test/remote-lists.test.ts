import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, createClient } from '@moraine/contract/client';
import { heartbeatProcess, registerProcess } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { barOf } from '../src/upload-file.js';
import { uploadInParts } from '../src/upload-parts.js';
import { type CliApi, openApi } from './api.js';
import { columnsOf } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// The lists, their filters and uploads in parts, against a real API without workers: its runs stay queued.
let { api, client, address, cli, json, at, close } = {} as CliApi;
let runs: string[];
const rowsOf = (count: number): string =>
  Array.from({ length: count }, (_, i) => `{"prompt":"${i}","completion":"b"}\n`).join('');

beforeAll(async () => {
  ({ api, client, address, cli, json, at, close } = await openApi());
  writeTinyBase(at('base'));
  await cli('models', 'add', 'tiny', at('base'));
  writeFileSync(at('rows.jsonl'), rowsOf(20));
  const { id } = JSON.parse((await cli('files', 'upload', at('rows.jsonl'), '--json')).output);
  runs = [];
  for (const [i, team] of ['blue', 'green', 'blue', 'a=b "c"'].entries()) {
    const body = {
      model: 'tiny',
      training_file: id,
      suffix: `run-${i}`,
      max_steps: 7,
      metadata: { team },
      pool: i === 3 ? 'gpu' : 'default',
    };
    runs.push((await client.call('createRun', { body })).id);
  }
  await client.call('cancelRun', { params: { id: runs[1] ?? '' } });
});
afterAll(() => close());

const idsIn = (output: string): string[] => output.split('\n').flatMap((line) => /^ftjob-\w+/.exec(line) ?? []);

describe('runs ls', () => {
  test.each<[words: string[], wanted: number[]]>([
    [[], [3, 2, 1, 0]],
    [['--status', 'cancelled'], [1]],
    [
      ['--metadata', 'team=blue'],
      [2, 0],
    ],
    [['--metadata', 'team=blue', '--status', 'cancelled'], []],
    [['--metadata', 'team=a=b "c"'], [3]],
    [
      ['--sort', 'created'],
      [0, 1, 2, 3],
    ],
    [
      ['--sort', 'status', '--metadata', 'team=blue'],
      [2, 0],
    ],
    [['--search', 'name:run-2'], [2]],
    [['--search', 'pool:gpu steps<8'], [3]],
    [
      ['--limit', '2'],
      [3, 2],
    ],
    [
      ['--limit', '3', '--sort', '-name'],
      [3, 2, 1],
    ],
  ])('%j lists these, as a table and as JSON', async (words, wanted) => {
    const ids = wanted.map((i) => runs[i]);
    const { status, output } = await cli('runs', 'ls', ...words);
    expect(status).toBe(0);
    expect(idsIn(output)).toEqual(ids);
    if (ids.length === 0) expect(output).toBe('No runs match.\n');
    expect((await json('runs', 'ls', ...words)).map(({ id }: { id: string }) => id)).toEqual(ids);
  });

  test('says that there is more, where to go on, and lists all over several pages', async () => {
    const { output } = await cli('runs', 'ls', '--limit', '3');
    expect(output).toContain(`There are more: --all lists every one, --after ${runs[1]} goes on.`);
    expect(idsIn((await cli('runs', 'ls', '--after', runs[1] ?? '')).output)).toEqual([runs[0]]);
    expect((await cli('runs', 'ls', '--all')).output).not.toContain('There are more');
    expect(await json('runs', 'ls', '--limit', '1')).toMatchObject([{ object: 'fine_tuning.job' }]);
    expect(await json('runs', 'ls', '--limit', '1', '--sort', 'name')).toMatchObject([{ object: 'run.summary' }]);
  });

  test.each([
    [['--status', 'runing'], "Did you mean 'running'?", 2],
    [['--sort', 'losses'], "Did you mean 'loss'?", 2],
    [['--metadata', 'blue'], '--metadata team=blue', 2],
    [['--all', '--limit', '3'], 'contradict', 2],
    [['--limit', '0'], 'whole number', 2],
    [['--after', 'ftjob-none'], 'ftjob-none', 1],
  ])('%j is refused', async (words, message, wanted) => {
    const { status, output } = await cli('runs', 'ls', ...words);
    expect(output).toContain(message);
    expect(status).toBe(wanted);
  });
});

test('queue ls says place, reason and since when, of all pools or of one', async () => {
  const { output } = await cli('queue', 'ls');
  const [titles, , ...rows] = output.trimEnd().split('\n').map(columnsOf);
  expect(titles).toEqual(['POOL', 'PLACE', 'TASK', 'NAME', 'KIND', 'PRIORITY', 'WAITS', 'WHY']);
  expect(rows.map(([pool, place, run]) => [pool, place?.trim(), run])).toEqual([
    ['default', '1', runs[0]],
    ['default', '2', runs[2]],
    ['gpu', '1', runs[3]],
  ]);
  expect(rows[0]?.at(-1)).toMatch(/worker/);
  expect(await json('queue', 'ls', '--pool', 'gpu')).toMatchObject([{ object: 'queue.entry', run_id: runs[3] }]);
  expect((await cli('queue', 'ls', '--limit', '1')).output).toContain('There are more');
  expect((await json('queue', 'ls', '--all')).length).toBe(3);
  expect((await cli('queue', 'ls', '--pool', 'none')).output).toBe('Nothing waits.\n');
});

test('pools ls counts what waits and says how many workers are wanted; workers ls says that there are none', async () => {
  const lines = (await cli('pools', 'ls')).output.trimEnd().split('\n').map(columnsOf);
  expect(lines[0]?.slice(0, 3)).toEqual(['POOL', 'WORKERS', 'QUEUED']);
  expect(lines.find(([pool]) => pool === 'default')?.[1]).toBe('none');
  expect(await json('pools', 'ls', '--pool', 'default')).toMatchObject([{ object: 'pool', queued: 2, desired: 2 }]);
  expect(await json('pools', 'ls', '--pool', 'other')).toMatchObject([{ id: 'other', queued: 0 }]);
  expect((await cli('workers', 'ls')).output).toBe('No worker has reported yet. Start one with `moraine worker`.\n');
  expect(await json('workers', 'ls')).toEqual([]);
});

test('runs create, models show and the verbs of one run print what the API says where --json is given', async () => {
  const [id = ''] = runs;
  const created = await json('runs', 'create', '--model', 'tiny', '--file', at('rows.jsonl'), '--steps', '3');
  expect(created).toMatchObject({ object: 'fine_tuning.job', progress: { steps: 3 } });
  await cli('runs', 'cancel', created.id);
  expect(await json('models', 'show', 'tiny')).toMatchObject({ id: 'tiny', object: 'model' });
  expect((await cli('models', 'show', 'tiny')).output).toMatch(/^kind +base$/m);
  expect((await cli('models', 'show', 'none')).status).toBe(1);
  expect((await json('runs', 'events', id, '--all')).length).toBeGreaterThan(0);
  expect(await json('login')).toMatchObject({ object: 'login_link' });
  expect(await json('logout')).toMatchObject({ object: 'sign_out', ended: 0 });
  expect(await json('runs', 'metrics', id, '--from', '1', '--names', 'train_loss')).toEqual([]);
});

describe('files', () => {
  test('split divides a file of this machine, and says what became of how many rows', async () => {
    const { status, output } = await cli('files', 'split', at('rows.jsonl'), '--validation', '0.2', '--test', '3');
    expect(status).toBe(0);
    expect(output).toMatch(/^20 rows\.\n13 in file-\w+, rows\.train\.jsonl\n 4 in file-.*\n 3 in file-.*test\.jsonl/);
    const made = await json('files', 'split', at('rows.jsonl'), '--validation', '0', '--test', '3', '--seed', '8');
    expect(made).toMatchObject({ seed: 8, validation: null, test: { rows: 3 }, train: { rows: 17 } });
    expect((await cli('files', 'split', at('rows.jsonl'), '--validation', '1.5')).status).toBe(2);
  });

  test('runs create --validation-split sets rows aside for validation', async () => {
    const words = ['--model', 'tiny', '--file', at('rows.jsonl'), '--validation-split', '4'];
    const run = await json('runs', 'create', ...words);
    const rowsOfFile = async (id: string) => (await client.call('getFile', { params: { id } })).rows;
    expect([await rowsOfFile(run.training_file), await rowsOfFile(run.validation_file)]).toEqual([16, 4]);
    const { output } = await cli('runs', 'events', run.id);
    expect(output).toContain('4 of the 20 rows of file-');
    await client.call('cancelRun', { params: { id: run.id } });
  });

  test('ls lists those of a purpose, in either order, page by page', async () => {
    const { id } = await json('files', 'upload', at('rows.jsonl'), '--purpose', 'evals');
    expect((await json('files', 'ls', '--purpose', 'evals')).map((file: { id: string }) => file.id)).toEqual([id]);
    const [first] = await json('files', 'ls', '--order', 'asc', '--limit', '1');
    expect(first.id).not.toBe(id);
    expect((await json('files', 'ls', '--order', 'asc', '--after', first.id)).at(-1).id).toBe(id);
  });

  test('validation lists each problem with its line and fix, and rows that are there twice', async () => {
    writeFileSync(at('wrong.jsonl'), `${rowsOf(2)}{"prompt":"a"}\n${rowsOf(1)}`);
    const { id } = await json('files', 'upload', at('wrong.jsonl'));
    const { status, output } = await cli('files', 'validation', id);
    expect(output).toMatch(/^Line 3.*: \S+/m);
    expect(output).toMatch(/1 rows are there twice; the first is line 4, which repeats line 1\./);
    expect(status).toBe(1);
    expect(await json('files', 'validation', id)).toMatchObject({ object: 'file.validation', rows: 3 });
  });
});

describe('an upload in parts', () => {
  const PART = 100_000;
  let notesDir: string;
  let file: { path: string; sizeBytes: number; modifiedMs: number; purpose: string };
  let calls: string[];
  beforeAll(() => {
    notesDir = at('notes');
    const text = rowsOf(12_000);
    writeFileSync(at('large.jsonl'), text);
    file = { path: at('large.jsonl'), sizeBytes: text.length, modifiedMs: 1, purpose: 'fine-tune' };
  });
  /** The stack's client, whose way to the server is cut where `isCut` says so of the n-th part. */
  const clientWith = (isCut: (part: number) => boolean): Client => {
    calls = [];
    const send: typeof fetch = async (input, init) => {
      const what = String(input).split('/').at(-1) ?? '';
      calls.push(what);
      const parts = calls.filter((call) => call === 'parts').length;
      if (what === 'parts' && isCut(parts)) throw new TypeError('the way is cut');
      return fetch(input, init);
    };
    return createClient({ ...address, fetch: send });
  };
  const upload = (through: Client, sent = file) => {
    const done: number[] = [];
    const options = { partBytes: PART, notesDir, waitMs: 1, onProgress: (bytes: number) => void done.push(bytes) };
    return uploadInParts(through, sent, options).then(({ id }) => ({ id, done }));
  };
  const parts = (): number => calls.filter((call) => call === 'parts').length;
  const contentOf = async (id: string): Promise<string> =>
    (await client.call('getFileContent', { params: { id } })).text();

  test('sends a part again that was cut, and is the file to the byte', async () => {
    const { id, done } = await upload(clientWith((part) => part === 2 || part === 3));
    const all = Math.ceil(file.sizeBytes / PART);
    expect(parts()).toBe(all + 2);
    expect(done).toEqual([...Array.from({ length: all }, (_, i) => i * PART), file.sizeBytes]);
    expect(await contentOf(id)).toBe(readFileSync(file.path, 'utf8'));
    expect(readdirSync(notesDir)).toEqual([]);
  });

  test('goes on behind the last part when it is started again, unless the file has changed', async () => {
    await expect(upload(clientWith((part) => part > 2))).rejects.toThrow('No answer from');
    const { done } = await upload(clientWith(() => false));
    expect(calls).not.toContain('uploads');
    expect(done[0]).toBe(2 * PART);
    expect(parts()).toBe(Math.ceil(file.sizeBytes / PART) - 2);

    await expect(upload(clientWith((part) => part > 1))).rejects.toThrow('No answer from');
    const { done: anew } = await upload(
      clientWith(() => false),
      { ...file, modifiedMs: 2 },
    );
    expect(anew[0]).toBe(0);
  });

  test('begins anew where the one before was given up meanwhile', async () => {
    const later = { ...file, modifiedMs: 3 };
    await expect(
      upload(
        clientWith((part) => part > 1),
        later,
      ),
    ).rejects.toThrow('No answer from');
    const notes = readdirSync(notesDir).map((name) => JSON.parse(readFileSync(path.join(notesDir, name), 'utf8')));
    for (const { upload: id } of notes) await client.call('cancelUpload', { params: { id } });
    const { id, done } = await upload(
      clientWith(() => false),
      later,
    );
    expect(done).toContain(0);
    expect(await contentOf(id)).toBe(readFileSync(file.path, 'utf8'));
  });

  test('that the server refuses is not tried again', async () => {
    await expect(
      upload(
        clientWith(() => false),
        { ...file, purpose: 'nothing' },
      ),
    ).rejects.toThrow(/purpose/);
    expect(calls).toEqual(['uploads']);
  });

  test('is what files upload does with --part-size, and says what it became', async () => {
    const { status, output } = await cli('files', 'upload', file.path, '--part-size', '1');
    expect(output).toMatch(/^file-\w+: large\.jsonl, [\d.]+ KB, 12,000 rows of prompt and completion\.$/m);
    expect(status).toBe(0);
    expect((await cli('files', 'upload', file.path, '--part-size', '65')).status).toBe(2);
    truncateSync(file.path, 0);
    expect((await cli('files', 'upload', file.path, '--part-size', '1')).status).toBe(1);
  });

  test('shows how far it is', () => {
    expect(barOf(0, 64_000_000)).toBe(`${'░'.repeat(30)}   0 %  0 B of 64.0 MB`);
    expect(barOf(32_000_000, 64_000_000)).toBe(`${'█'.repeat(15)}${'░'.repeat(15)}  50 %  32.0 MB of 64.0 MB`);
    expect(barOf(64_000_000, 64_000_000)).toBe(`${'█'.repeat(30)} 100 %  64.0 MB of 64.0 MB`);
  });
});

test('runs rm says what goes and until when, runs ls --deleted lists it, and runs restore brings it back', async () => {
  const [id = '', waiting = ''] = [runs[1], runs[0]];
  const refused = await cli('runs', 'rm', waiting);
  expect(refused.status).toBe(1);
  expect(refused.output).toContain(`POST /v1/fine_tuning/jobs/${waiting}/cancel`);
  const { status, output } = await cli('runs', 'rm', id);
  expect([status, output]).toEqual([
    0,
    expect.stringMatching(
      new RegExp(
        `^${id} \\(run-1\\) is deleted and can be restored until 20\\S+Z\\. Then go its configuration, \\d events, 0 bytes of storage\\. Take it back with: moraine runs restore ${id}\n$`,
      ),
    ),
  ]);
  expect((await cli('runs', 'ls')).output).not.toContain(id);
  const deleted = await cli('runs', 'ls', '--deleted');
  expect(idsIn(deleted.output)).toEqual([id]);
  expect(deleted.output).toMatch(/RESTORABLE UNTIL[\s\S]*20\d\d-\S+Z/);
  expect((await json('runs', 'ls', '--deleted'))[0].deletion.restorable_until).toBeGreaterThan(Date.now() / 1_000);
  expect((await cli('runs', 'restore', id)).output).toBe(`${id}: cancelled\n`);
  expect((await cli('runs', 'ls', '--deleted')).output).toBe('No runs match.\n');
});

describe('results of an experiment', () => {
  let id: string;
  beforeAll(async () => {
    const upload = async (name: string, count: number): Promise<string> => {
      writeFileSync(at(name), rowsOf(count));
      return (await json('files', 'upload', at(name))).id;
    };
    const [training_file, validation, test, source] = await Promise.all(
      [21, 22, 23, 24].map((count) => upload(`rows-${count}.jsonl`, count)),
    );
    const made = await client.call('createExperiment', {
      body: {
        name: 'results',
        model: 'tiny',
        training_file: training_file ?? '',
        evaluation: { validation: validation ?? '', test, source: [source ?? ''] },
        fixed: { max_steps: 7 },
        arms: [
          { name: 'one', adapter: 'lora', learning_rates: [1e-3] },
          { name: 'two', adapter: 'lora', learning_rates: [2e-3] },
        ],
      },
    });
    ({ id } = made);
  });

  test.each([
    ['table', /^## Learned and kept\n\n\| arm \|.*\n.*\n\| one \| [\d,]+ \| 0\.001 /],
    ['table --format csv', /^arm,method,/],
    ['curves', /^<svg .*<\/svg>$/s],
    ['curves --format csv', /^quantity,unit,/],
    ['frontier', /^## The plane\n/],
    ['frontier --format svg --metric token_accuracy', /^<svg .*token accuracy better than the base/s],
    ['report', /^# results\n(.*\n)*\| `fixed\.max_steps` \| 7 \|/],
  ])('%s', async (words, wanted) => {
    const [name = '', ...options] = words.split(' ');
    const { status, output } = await cli('experiments', name, id, ...options);
    expect([status, output.trim()]).toEqual([0, expect.stringMatching(wanted)]);
  });

  test('are JSON as the API has it, and a file where --out names one', async () => {
    const { rows, not_comparable: reasons } = await json('experiments', 'table', id);
    expect(rows.map(({ arm }: { arm: string }) => arm)).toEqual(['one', 'two']);
    expect(reasons[0].sentence).toBe('one has no run at the rate that is reported');
    const file = at('report.md');
    expect((await cli('experiments', 'report', id, '--out', file)).output.trim()).toBe(file);
    const { markdown } = await client.call('getExperimentReport', { params: { id } });
    expect(readFileSync(file, 'utf8')).toBe(markdown);
  });
});

test('adapters list says what is loaded and where, show says it of one, and unload asks every process', async () => {
  expect((await cli('adapters', 'list')).output).toContain('moraine chat NAME');
  const base = await api.services.db.base.findFirstOrThrow();
  const [sha256, name] = ['a'.repeat(64), 'records'];
  const place = { blobPrefix: 'adapters/a', sha256, sizeBytes: 1, config: {} };
  await api.services.db.uploadedAdapter.create({
    data: { id: 'adapter_a', projectId: base.projectId, baseId: base.id, name, ...place },
  });
  expect((await cli('adapters', 'show', name)).output).toBe('No process has records; the next question brings it.\n');
  const facts = { baseSha256: base.sha256, secret: 's', host: 'gpu-1', pid: 1, version: '0', rows: 8 };
  const id = await registerProcess(api.services, facts);
  const adapters = [{ sha256, kind: 'slot', bytes: 2_000_000, pinnedBy: [base.projectId] }];
  const news = { address: 'http://127.0.0.1:9', device: null, answering: 0, adapters };
  await heartbeatProcess(api.services, id, { status: 'ready', ...news });
  const lines = (await cli('adapters', 'list')).output.trimEnd().split('\n').map(columnsOf);
  expect(lines[0]).toEqual(['ADAPTER', 'BASE', 'PLACE', 'MEMORY', 'PINNED', 'PROCESS', 'HOST']);
  expect(lines.slice(2)).toEqual([[name, 'tiny', 'slot', '2.0 MB', 'yes', id, 'gpu-1']]);
  expect(await json('adapters', 'list')).toMatchObject([{ id: name, processes: [{ place: 'slot', pinned: true }] }]);
  expect((await cli('adapters', 'pin', 'tiny')).output).toContain("'tiny' is a base");
  // Nobody is at that address: the process is forgotten.
  expect((await cli('adapters', 'unload', name)).output).toContain('No process has records');
  expect(await json('adapters', 'show', name)).toMatchObject({ object: 'adapter', id: name, processes: [] });
  expect(await json('adapters', 'list')).toEqual([]);
  expect((await cli('adapters', 'unpin', name)).output).toContain('No process has records');
  for (const verb of ['show', 'unpin', 'unload']) {
    const { status, output } = await cli('adapters', verb, 'tiny');
    expect([verb, status, output]).toEqual([verb, 1, expect.stringContaining("'tiny' is a base")]);
  }
  const pinned = await cli('adapters', 'pin', name);
  expect([pinned.status, pinned.output]).toEqual([1, expect.stringContaining('npx moraine serve tiny')]);
});

test.each([
  [['show'], 'The name of the adapter or checkpoint', 2],
  [['pin', 'one', 'two'], "'two' is one argument too many.", 2],
  [['list', 'one'], "'one' is one argument too many.", 2],
  [['keep', 'one'], 'keep', 2],
  [['show', 'recrods'], "'recrods'", 1],
  [['unload', 'recrods'], "'recrods'", 1],
])('adapters %j is refused', async (words, message, wanted) => {
  const { status, output } = await cli('adapters', ...words);
  expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
});
