import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startHub, type TestHub } from '@moraine/testing/hub';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { columnsOf, moraine, moraineOnce, processesOf, removeStack, startUp, type TestStack } from './stack.js';
import { writeTinyAdapter, writeTinyBase } from './tiny-base.js';

// The commands that talk to a stack, against a real one without workers: its runs stay queued.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine remote '));
let stack: TestStack;
let { up, client, address, cli } = {} as TestStack;
let runIds: string[];

/** Rows that no run finds anything to say about. */
const distinctRows = (count: number): string =>
  Array.from({ length: count }, (_, i) => `{"prompt":"${i}","completion":"b"}\n`).join('');

async function submitRun(suffix: string, fileId: string): Promise<string> {
  const run = await client.call('createRun', { body: { model: 'tiny', training_file: fileId, suffix, max_steps: 7 } });
  return run.id;
}

async function uploadRows(): Promise<string> {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', new Blob(['{"prompt":"a","completion":"b"}\n'.repeat(20)]), 'rows.jsonl');
  const { id } = await client.call('createFile', { body: form });
  while ((await client.call('getFile', { params: { id } })).status === 'uploaded') await sleep(50);
  return id;
}

/** A hub with the tiny base; the stack's own hub, too. */
let hub: TestHub;
const commit = 'c0ffee'.padEnd(40, '0');

beforeAll(async () => {
  const dir = path.join(dataDir, 'for the hub');
  writeTinyBase(dir);
  const files = Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(path.join(dir, name))]));
  const repo = { commit, names: ['main'], files };
  hub = await startHub({
    'org/tiny': repo,
    'org/gated': { ...repo, needs: { token: 'hf_right', code: 'GatedRepo' } },
    'org/cut': { ...repo, files: { ...files, 'model.safetensors': Buffer.from('cut short') } },
  });
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_TOKEN', '');
  stack = await startUp(dataDir, '--workers', '0', '--bare');
  ({ up, client, address, cli } = stack);
});
afterAll(async () => {
  await removeStack(dataDir, stack);
  vi.unstubAllEnvs();
  await hub.close();
});

test('models and runs say that there are none yet', async () => {
  expect(await cli('models', 'ls')).toEqual({
    status: 0,
    output:
      'No models yet. Register a base with `moraine models add NAME DIR`, or `hf:ORG/REPO` in place of the folder.\n',
  });
  expect(await cli('runs', 'ls')).toEqual({ status: 0, output: 'No runs yet.\n' });
});

test('models add registers a folder under a name, and models ls lists it', async () => {
  const base = path.join(dataDir, 'tiny');
  writeTinyBase(base);
  const template = 'additional_chat_templates/tool_use.jinja';
  mkdirSync(path.dirname(path.join(base, template)));
  writeFileSync(path.join(base, template), '{{ cycler(1) }}');
  expect((await cli('models', 'add', 'tiny', base)).output).toContain("the function 'cycler'");
  writeFileSync(path.join(base, template), '{{ tools }}');
  const added = await cli('models', 'add', 'tiny', base);
  expect(added.output).toMatch(/^tiny: [\d,]+ parameters, context 256 tokens\.\n$/);
  const { output } = await cli('models', 'ls');
  expect(columnsOf(output.split('\n')[2]).slice(0, 2)).toEqual(['tiny', 'base']);
});

test('models add registers an adapter of a base, which a run starts from', async () => {
  const dir = path.join(dataDir, 'adapter');
  const config = { peft_type: 'LORA', r: 2, lora_alpha: 6, base_model_name_or_path: 'elsewhere' };
  writeTinyAdapter(dir, config);
  expect((await cli('models', 'add', 'mine', dir)).output).toContain("No base model 'elsewhere'");
  const added = await cli('models', 'add', 'mine', dir, '--base', 'tiny');
  expect(added.output).toContain('mine: an adapter of tiny.');
  const listed = (await cli('models', 'ls')).output.split('\n').map((line) => columnsOf(line));
  expect(listed.find(([name]) => name === 'mine')).toEqual(expect.arrayContaining(['adapter', 'tiny']));
  const rows = path.join(dataDir, 'start.jsonl');
  writeFileSync(rows, '{"prompt":"a","completion":"b"}\n'.repeat(20));
  const asked = await cli('runs', 'create', '--model', 'mine', '--file', rows, '--dry-run');
  for (const said of ['"model": "mine"', '"rank": 2', '"alpha": 6']) expect(asked.output).toContain(said);
});

describe('models add of one file', () => {
  const tarOf = (file: string, dir: string) =>
    execFileSync('tar', [`-c${file.endsWith('gz') ? 'z' : ''}f`, file, '-C', path.dirname(dir), path.basename(dir)]);
  const at = (name: string) => path.join(dataDir, name);
  beforeAll(() => {
    writeTinyBase(at('packed'));
    writeTinyAdapter(at('packed-lora'), {
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 6,
      base_model_name_or_path: 'elsewhere',
    });
    mkdirSync(at('nothing'));
    writeFileSync(at('nothing/tokenizer.json'), '{}');
    writeFileSync(at('text.tar.gz'), 'no tar at all');
  });

  test.each(['packed.tar', 'packed 2.TAR', 'packed.tar.gz', 'packed.tgz'])('registers the base in %s', async (file) => {
    tarOf(at(file), at('packed'));
    const name = `of-${file.replaceAll(/\W/g, '-').toLowerCase()}`;
    const { output } = await cli('models', 'add', name, at(file));
    expect(output).toMatch(new RegExp(`^${name}: [\\d,]+ parameters, context 256 tokens\\.\n$`));
    const [folder, packed] = await Promise.all(
      ['tiny', name].map((model) => client.call('getModel', { params: { model } })),
    );
    expect(packed?.parameters).toBe(folder?.parameters);
  });

  test('registers an adapter of the base that --base names, which is refused of another base and of a base', async () => {
    const file = at('packed-lora.tar.gz');
    tarOf(file, at('packed-lora'));
    expect((await cli('models', 'add', 'packed', file)).output).toContain("No base model 'elsewhere'");
    const added = await cli('models', 'add', 'packed', file, '--base', 'tiny');
    expect(added.output).toContain('packed: an adapter of tiny.');
    tarOf(at('base.tar'), at('packed'));
    const refused = await cli('models', 'add', 'other', at('base.tar'), '--base', 'tiny');
    expect(refused.output).toContain('--base is of adapters');
    for (const source of [file, at('packed-lora'), at('base.tar')])
      expect((await cli('models', 'add', 'other', source, '--on-server')).output).toContain('is of models of a hub');
  });

  test('says what is wrong with a file before anything is sent', async () => {
    tarOf(at('nothing.tar'), at('nothing'));
    tarOf(at('whole.tar'), at('nothing'));
    writeFileSync(at('cut.tar'), readFileSync(at('whole.tar')).subarray(0, 700));
    for (const [file, message] of [
      ['missing.tar', `There is no file ${at('missing.tar')}.`],
      ['nothing.tar', 'holds neither config.json nor the configuration of an adapter'],
      ['text.tar.gz', 'cannot be unpacked'],
      ['cut.tar', 'cannot be unpacked'],
    ] as const) {
      const { status, output } = await cli('models', 'add', 'other', at(file));
      expect([status, output]).toEqual([expect.any(Number), expect.stringContaining(message)]);
      expect(status).not.toBe(0);
    }
  });

  test('a folder may be called as a tar is', async () => {
    writeTinyBase(at('folder.tar'));
    expect((await cli('models', 'add', 'folder', at('folder.tar'))).output).toMatch(/^folder: [\d,]+ parameters/);
  });
});

describe('models add from a hub', () => {
  const hubDir = path.join(dataDir, 'hub');
  const add = (name: string, source: string, extra: Record<string, string> = {}) =>
    moraineOnce(['models', 'add', name, source, '--data', dataDir], extra);

  test('registers what a revision is, as a folder would be, and keeps no second copy', async () => {
    const { status, output } = await add('of-hub', 'hf:org/tiny@main');
    expect(output).toContain(`org/tiny at main is ${commit}: 4 files, `);
    expect(output).toContain('All of it has arrived; it is checked and registered.\n');
    expect(output).toMatch(/^of-hub: [\d,]+ parameters, context 256 tokens\.$/m);
    expect(status).toBe(0);
    expect(existsSync(hubDir) ? readdirSync(hubDir) : []).toEqual([]);
    const models = ['tiny', 'of-hub'].map((model) => client.call('getModel', { params: { model } }));
    const [folder, ofHub] = await Promise.all(models);
    expect(ofHub?.parameters).toBe(folder?.parameters);
  });

  test('a download that is given up registers nothing; the same command goes on there', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { cutAfter: 1000 }, { status: 429, headers: { 'retry-after': '3600' } });
    const first = await add('again', 'hf:org/tiny');
    expect([first.status, first.output]).toEqual([
      1,
      expect.stringMatching(/asks to come back in 3600 s.*goes on there/),
    ]);
    expect((await cli('models', 'ls')).output).not.toContain('again');
    hub.requests.length = 0;
    expect((await add('again', 'hf:org/tiny')).status).toBe(0);
    const ranges = hub.requests.filter(({ server }) => server === 'cdn').map(({ range }) => range);
    expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });

  test('--on-server has the server download it, says why it cannot, and rm frees the name', async () => {
    const onServer = (name: string, source: string) => cli('models', 'add', name, source, '--on-server');
    const { status, output } = await onServer('of-server', 'hf:org/tiny');
    // How far it is comes before, where it takes long enough to be seen.
    expect(output).toMatch(/^of-server: [\d,]+ parameters, context 256/m);
    expect(status).toBe(0);
    expect(existsSync(hubDir) ? readdirSync(hubDir) : []).toEqual([]);
    const gated = await onServer('gated', 'hf:org/gated');
    expect([gated.status, gated.output]).toEqual([1, expect.stringContaining('org/gated is gated')]);
    const rowOf = async (name: string) =>
      columnsOf((await cli('models', 'ls')).output.split('\n').find((line) => line.startsWith(`${name} `)));
    expect(await rowOf('of-server')).toEqual(expect.arrayContaining(['base', 'ready', 'hf:org/tiny@main']));
    expect(await rowOf('gated')).toEqual(expect.arrayContaining(['base', 'error', 'hf:org/gated@main']));
    expect((await cli('models', 'rm', 'gated')).output).toBe('gated is deleted.\n');
    expect((await cli('models', 'rm', 'gated')).output).toContain("No model 'gated'");
    expect((await onServer('folder', dataDir)).output).toContain('--on-server is of models of a hub');
  });

  test('a base that registration refuses leaves its files to be looked at', async () => {
    const { status, output } = await add('cut', 'hf:org/cut');
    expect(status).toBe(1);
    expect(output).toContain(`The files stay in ${path.join(hubDir, 'org--cut')}.`);
    expect(output).toContain('model.safetensors');
    expect(existsSync(path.join(hubDir, 'org--cut', 'config.json'))).toBe(true);
  });

  test.each([
    ['of-hub', 'hf:org/tiny', {}, "Another base model is called 'of-hub'."],
    ['a name', 'hf:org/tiny', {}, "'name' is 'a name'"],
    ['gated', 'hf:org/gated', {}, 'org/gated is gated'],
    ['gated', 'hf:org/gated', { HF_TOKEN: 'hf_wrong' }, 'The account of HF_TOKEN has no access'],
    ['none', 'hf:org/none', {}, 'There is no model org/none'],
    ['none', 'hf:org', { HF_ENDPOINT: 'localhost' }, "HF_ENDPOINT is 'localhost'"],
    ['none', 'hf:a/b/c', {}, 'hf:ORG/REPO@REV'],
  ])('%s from %s with %j is refused before weights are fetched', async (name, source, extra, message) => {
    hub.requests.length = 0;
    const { status, output } = await add(name, source, extra);
    expect(output).toContain(message);
    expect(status).toBe(1);
    expect(hub.requests.filter(({ server }) => server === 'cdn')).toEqual([]);
  });
});

test('runs ls lists the newest run first, as many as asked for', async () => {
  const file = await uploadRows();
  runIds = [await submitRun('first', file), await submitRun('second', file)];
  const [titles, , ...rows] = (await cli('runs', 'ls')).output.trimEnd().split('\n');
  expect(columnsOf(titles)).toEqual(['RUN', 'STATUS', 'MODEL', 'METHOD', 'STEP', 'LOSS', 'NAME']);
  expect(rows.map((row) => columnsOf(row)[0])).toEqual(runIds.toReversed());
  expect(columnsOf(rows[0]).slice(1)).toEqual(['queued', 'tiny', 'LoRA r8', '0/7', 'second']);
  expect((await cli('runs', 'ls', '--limit', '1')).output).not.toContain(runIds[0]);
});

test('runs show says what a run is, why it waits and what has happened', async () => {
  const { status, output } = await cli('runs', 'show', runIds[0] ?? '');
  expect(status).toBe(0);
  expect(output).toMatch(new RegExp(`^run +${runIds[0]}$`, 'm'));
  expect(output).toMatch(/^why +\S.*worker/m);
  expect(output).toMatch(/^step +0 of 7, \d+ rows each$/m);
  expect(output).toMatch(/^\d\d:\d\d:\d\d .*(created|queued)/im);
});

test('runs pause holds a queued run and runs resume queues it again', async () => {
  const [, id = ''] = runIds;
  expect((await cli('runs', 'pause', id)).output).toBe(`${id}: paused\n`);
  expect((await cli('runs', 'resume', id)).output).toBe(`${id}: queued\n`);
});

test('runs cancel ends a queued run, and a second one is refused with the reason', async () => {
  const [id = ''] = runIds;
  expect((await cli('runs', 'cancel', id)).output).toBe(`${id}: cancelled\n`);
  expect((await client.call('getRun', { params: { id } })).status).toBe('cancelled');
  const late = await cli('runs', 'pause', id);
  expect([late.status, late.output]).toEqual([1, expect.stringContaining('cancelled and cannot be paused')]);
  const again = await cli('runs', 'cancel', id);
  expect(again.status).toBe(1);
  expect(again.output).toContain('cancelled');
});

test('runs ls, show and cancel, and models ls, print what the API says where --json is given', async () => {
  const [first = '', second = ''] = runIds;
  const json = async (...words: string[]) => JSON.parse((await cli(...words, '--json')).output);
  expect((await json('runs', 'ls')).map(({ id }: { id: string }) => id)).toEqual([second, first]);
  expect(await json('runs', 'show', second)).toMatchObject({ object: 'fine_tuning.job', status: 'queued' });
  expect(await json('runs', 'pause', second)).toMatchObject({ id: second, status: 'paused' });
  expect(await json('runs', 'resume', second)).toMatchObject({ id: second, status: 'queued' });
  expect(await json('models', 'ls')).toContainEqual(expect.objectContaining({ id: 'tiny', object: 'model' }));
});

test('runs events, checkpoints, evaluations and metrics list what there is of a run', async () => {
  const [first = ''] = runIds;
  expect((await cli('runs', 'events', first, '--limit', '9')).output).toMatch(/^\d{4}-\S+Z Created fine-tuning job: /);
  const [event] = JSON.parse((await cli('runs', 'events', first, '--limit', '1', '--json')).output);
  expect(event).toMatchObject({ object: 'fine_tuning.job.event' });
  for (const what of ['checkpoints', 'evaluations', 'metrics']) {
    expect(await cli('runs', what, first)).toEqual({ status: 0, output: '' });
    expect(await cli('runs', what, first, '--json')).toEqual({ status: 0, output: '[]\n' });
    expect((await cli('runs', what, 'ftjob-none')).status).toBe(1);
  }
});

test('webhooks are registered, tested, listed, changed, turned and deleted', async () => {
  const made = await cli('webhooks', 'create', 'https://hooks.example/m', '--event', 'fine_tuning.job.failed');
  const [, id = ''] = /^webhook +(wh_\w+)$/m.exec(made.output) ?? [];
  expect(made.output).toMatch(/^secret +whsec_\S+ \(shown this once\)$/m);
  const shown = await cli('webhooks', 'show', id);
  expect(shown.output).toMatch(/^hears of +fine_tuning\.job\.failed$/m);
  expect(shown.output).not.toContain('whsec_');
  expect((await cli('webhooks', 'ls')).output).toContain('https://hooks.example/m');
  const local = await cli('webhooks', 'update', id, '--url', 'http://127.0.0.1:9/');
  expect([local.status, local.output]).toEqual([1, expect.stringContaining('MORAINE_WEBHOOK_PRIVATE=1')]);
  const wrong = await cli('webhooks', 'update', id, '--event', 'fine_tuning.job.fail');
  expect([wrong.status, wrong.output]).toEqual([1, expect.stringContaining('fine_tuning.job.failed')]);
  expect((await cli('webhooks', 'update', id, '--disable')).output).toMatch(/^state +disabled$/m);
  expect((await cli('webhooks', 'update', id)).status).toBe(2);
  expect((await cli('webhooks', 'rotate', id, '--overlap', '60')).output).toMatch(/^secret +whsec_/m);
  // No name ends in .example, so nobody takes it.
  const tried = await cli('webhooks', 'test', id);
  expect([tried.status, tried.output]).toEqual([1, expect.stringContaining('Not delivered')]);
  const [delivery] = JSON.parse((await cli('webhooks', 'deliveries', id, '--json')).output);
  expect(delivery).toMatchObject({ type: 'webhook.test', status: 'failed', webhook_id: id });
  expect((await cli('webhooks', 'replay', id, delivery.id)).output).toContain(delivery.event_id);
  expect((await cli('webhooks', 'delete', id)).output).toBe(`${id}: deleted\n`);
  expect((await cli('webhooks', 'ls')).output).toContain('No webhooks yet.');
});

test('runs verify of a run that has not trained says what it would need', async () => {
  const { status, output } = await cli('runs', 'verify', runIds[0] ?? '');
  expect([status, output]).toEqual([
    1,
    expect.stringMatching(/has no two checkpoints|is queued; a run is verified when/),
  ]);
});

test('runs logs of a run that no worker has taken are empty', async () => {
  expect(await cli('runs', 'logs', runIds[1] ?? '')).toEqual({ status: 0, output: '' });
});

test('a run that has no adapter cannot be downloaded, and no file is left', async () => {
  const before = readdirSync(dataDir);
  for (const name of ['none.tar', 'none']) {
    const { status, output } = await cli('runs', 'download', runIds[1] ?? '', '--out', path.join(dataDir, name));
    expect(status).toBe(1);
    expect(output).toContain(runIds[1]);
  }
  expect(readdirSync(dataDir)).toEqual(before);
});

describe('files', () => {
  const rows = path.join(dataDir, 'some rows.jsonl');
  beforeAll(() => writeFileSync(rows, '{"prompt":"a","completion":"b"}\n'.repeat(7)));

  test('download gives its bytes back, never over another file, and delete removes it, and a second time says that there is none', async () => {
    const { id } = JSON.parse((await cli('files', 'upload', rows, '--json')).output);
    const out = path.join(dataDir, 'downloaded.jsonl');
    expect((await cli('files', 'download', id)).output).toBe(readFileSync(rows, 'utf8'));
    expect(await cli('files', 'download', id, '--out', out)).toEqual({ status: 0, output: '' });
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(rows, 'utf8'));
    expect(await cli('files', 'download', id, '--out', out)).toMatchObject({ status: 1 });
    expect(await cli('files', 'delete', id)).toEqual({ status: 0, output: `${id}: deleted\n` });
    expect(await cli('files', 'delete', id)).toMatchObject({ status: 1, output: expect.stringContaining(id) });
  });

  test('upload says what the file is and how it is trained on; ls and show say the same', async () => {
    const { status, output } = await cli('files', 'upload', rows);
    const [, id = ''] = /^(file-\w+): some rows\.jsonl, 224 B, 7 rows of prompt and completion\.$/m.exec(output) ?? [];
    expect(output).toContain(`Train on it: npx moraine runs create --model moraine-tiny --file ${id}`);
    expect(status).toBe(0);
    expect((await cli('files', 'show', id)).output).toBe(output);
    const listed = (await cli('files', 'ls')).output.split('\n').map(columnsOf);
    expect(listed[0]).toEqual(['FILE', 'NAME', 'PURPOSE', 'SIZE', 'VERDICT']);
    expect(listed.find(([first]) => first === id)).toEqual([
      ...[id, 'some rows.jsonl', 'fine-tune', '224 B', '7 rows of prompt and completion'],
    ]);
  });

  test('upload of a file with a wrong row names line and fix, with status 1', async () => {
    const wrong = path.join(dataDir, 'wrong.jsonl');
    writeFileSync(wrong, '{"prompt":"a","completion":"b"}\n{"prompt":"a"}\n');
    const { status, output } = await cli('files', 'upload', wrong, '--purpose', 'evals');
    expect(status).toBe(1);
    expect(output).toMatch(/^file-\w+: wrong\.jsonl, 47 B, refused, 1 problems\.$/m);
    expect(output).toMatch(/Line 2, /);
    const created = await cli('runs', 'create', '--model', 'tiny', '--file', wrong);
    expect([created.status, created.output]).toEqual([1, expect.stringMatching(/wrong\.jsonl was refused: Line 2, /)]);
  });

  test('preview shows rows as the base reads them, by id or from this machine', async () => {
    const { output: listed } = await cli('files', 'ls', '--json');
    const { id } = JSON.parse(listed).find((file: { filename: string }) => file.filename === 'some rows.jsonl');
    const { status, output } = await cli('files', 'preview', id, '--model', 'tiny', '--rows', '1', '--after', '2');
    expect(output).toMatch(/^Line 3: \d+ tokens, 2 learned\n/);
    expect(output).toMatch(/⟦b.*⟧/);
    expect(output).toContain('7 rows: ');
    expect(status).toBe(0);
    const json = await cli('files', 'preview', rows, '--model', 'tiny', '--json');
    expect(JSON.parse(json.output)).toMatchObject({ object: 'file.preview', rows_read: 7, is_whole: true });
  });

  test('upload --json is the object of the API, in one line', async () => {
    const { output } = await cli('files', 'upload', rows, '--json', '--purpose', 'evals');
    expect(JSON.parse(output)).toMatchObject({ object: 'file', purpose: 'evals', status: 'processed', rows: 7 });
    expect(JSON.parse((await cli('files', 'ls', '--json')).output)[0]).toMatchObject({ purpose: 'evals' });
  });

  test.each([
    [['upload', 'none.jsonl'], 'There is no file', 1],
    [['upload'], 'The file to upload is missing.', 2],
    [['upload', rows, '--purpose', 'eval'], "Did you mean 'evals'?", 2],
    [['show', 'file-none'], 'file-none', 1],
    [['preview', rows], '--model is missing.', 2],
    [['preview', 'file-none', '--model', 'tiny'], 'file-none', 1],
    [['preview', rows, '--model', 'tyni'], "Did you mean 'tiny'?", 1],
  ])('%j is refused', async (words, message, wanted) => {
    const { status, output } = await cli('files', ...words);
    expect(output).toContain(message);
    expect(status).toBe(wanted);
  });
});

describe('estimate', () => {
  const rows = path.join(dataDir, 'estimated.jsonl');
  beforeAll(() => writeFileSync(rows, distinctRows(30)));

  test('says what a run would take and whether a worker can hold it, and queues nothing', async () => {
    const before = (await client.call('listRuns', { query: {} })).data.length;
    const { status, output } = await cli('estimate', '--model', 'tiny', '--file', rows, '--steps', '40');
    expect(status).toBe(0);
    expect(output).toMatch(/^Memory +[\d.]+ MB at the peak$/m);
    expect(output).toMatch(/MB Node and TensorFlow$/m);
    expect(output).toMatch(/^Steps +40 of \d+ tokens, in micro-batches of \d+x\d+/m);
    expect(output).toMatch(/^Chosen +learning_rate [\d.]+ was chosen: LoRA's rate at width/m);
    expect(output).toMatch(/^ +n_epochs \d+ was chosen: max_steps is 40, /m);
    expect(output).toMatch(/No worker is there|Fits/);
    expect((await client.call('listRuns', { query: {} })).data).toHaveLength(before);
  });

  test('--json is the object of the API', async () => {
    const { output } = await cli('estimate', '--model', 'tiny', '--file', rows, '--method', 'full', '--json');
    expect(JSON.parse(output)).toMatchObject({ object: 'fine_tuning.estimate', config: { adapter: { type: 'none' } } });
  });
});

describe('runs create', () => {
  const rows = path.join(dataDir, 'rows.jsonl');
  beforeAll(() => writeFileSync(rows, distinctRows(30)));

  test('queues what options and file say and names the command that watches it', async () => {
    const id = await uploadRows();
    const { status, output } = await cli('runs', 'create', '--model', 'tiny', '--file', id, '--steps', '3');
    const [, run = ''] = /^(ftjob-\w+): queued, 3 steps on tiny\.$/m.exec(output) ?? [];
    expect(output).toMatch(/^batch_size \d+ was chosen: an epoch of \d+ rows has 8 steps then\.$/m);
    expect(output).toContain(`Watch it: npx moraine runs watch ${run}`);
    expect(status).toBe(0);
    expect(await client.call('getRun', { params: { id: run } })).toMatchObject({ training_file: id, status: 'queued' });
  });

  test('with --dry-run prints the whole configuration and queues nothing', async () => {
    const before = (await client.call('listRuns', { query: {} })).data.length;
    const { status, output } = await cli(
      'runs',
      'create',
      '--model',
      'tiny',
      '--file',
      rows,
      '--dry-run',
      '--lr',
      '0.01',
    );
    expect(status).toBe(0);
    expect(JSON.parse(output)).toMatchObject({ base: 'tiny', optimizer: { learning_rate: 0.01 } });
    expect((await client.call('listRuns', { query: {} })).data).toHaveLength(before);
  });

  test('with --dry-run says what the run would cut', async () => {
    const long = path.join(dataDir, 'long rows.jsonl');
    writeFileSync(long, `{"prompt":"a","completion":"${'b '.repeat(40)}"}\n`);
    const words = ['runs', 'create', '--model', 'tiny', '--file', long, '--seq', '24', '--dry-run'];
    expect(await cli(...words)).toMatchObject({
      status: 0,
      output: expect.stringContaining('Training file: 1 rows were cut to the longest length. 1 rows are used.'),
    });
  });

  test('says what is missing, and what the server says of a wrong key', async () => {
    expect(await cli('runs', 'create', '--file', rows)).toMatchObject({
      status: 2,
      output: expect.stringContaining('--model is missing. Write --model NAME'),
    });
    expect(await cli('runs', 'create', '--model', 'tiny')).toMatchObject({
      status: 2,
      output: expect.stringContaining('--file is missing.'),
    });
    const config = path.join(dataDir, 'config.json');
    writeFileSync(config, '{"learning_rate": 0.1}');
    const wrong = await cli('runs', 'create', '--model', 'tiny', '--file', rows, '--config', config);
    expect(wrong.status).toBe(1);
    expect(wrong.output).toContain("Unknown key 'learning_rate'. Did you mean 'optimizer.learning_rate'?");
  });

  test('runs watch shows why a run waits; Ctrl-C ends the watching alone', async () => {
    const id = await submitRun('waiting', await uploadRows());
    const watching = moraine(['runs', 'watch', id, '--data', dataDir]);
    await watching.says(/^waiting +─{24} 0\/7 .*worker/m);
    watching.child.kill('SIGINT');
    expect(await watching.ended).toBe(130);
    expect(watching.output()).toContain(`The run goes on. \`npx moraine runs watch ${id}\` shows it again.`);
    expect((await client.call('getRun', { params: { id } })).status).toBe('queued');
    await client.call('cancelRun', { params: { id } });
    expect(await cli('runs', 'watch', id)).toEqual({ status: 1, output: `${id}: cancelled at step 0 of 7.\n` });
  });
});

test('an id that names nothing is an error of one line', async () => {
  const { status, output } = await cli('runs', 'show', 'ftjob-none');
  expect(status).toBe(1);
  expect(output).toMatch(/^moraine: .*ftjob-none.*\n$/);
});

test('login prints a link that opens one browser, once, and logout signs it out', async () => {
  const { status, output } = await cli('login');
  expect(status).toBe(0);
  const { origin, searchParams } = new URL(output.trim());
  const open = () =>
    fetch(`${origin}/login`, { method: 'POST', body: new URLSearchParams(searchParams), redirect: 'manual' });
  const cookie = (await open()).headers.get('set-cookie') ?? '';
  expect(cookie).toMatch(/HttpOnly/i);
  expect((await open()).headers.get('set-cookie')).toBeNull();
  const asked = () => fetch(`${origin}/v1/models`, { headers: { cookie: cookie.split(';')[0] ?? '' } });
  expect((await asked()).status).toBe(200);
  expect(await cli('logout')).toEqual({ status: 0, output: 'One browser is signed out.\n' });
  expect((await asked()).status).toBe(401);
});

test('env is a line that a shell evaluates to the address and the key', async () => {
  const { output } = await cli('env');
  expect(output).toBe(`export OPENAI_BASE_URL=${address.origin}/v1 OPENAI_API_KEY=${address.apiKey}\n`);
});

test('without a stack here the commands talk to the server that the environment names, unless --data is given', async () => {
  const elsewhere = path.join(dataDir, 'none');
  const remote = {
    OPENAI_BASE_URL: `${address.origin}/v1/`,
    OPENAI_API_KEY: address.apiKey,
    MORAINE_DATA: elsewhere,
  };
  expect((await moraineOnce(['runs', 'ls'], remote)).output).toContain(runIds[1]);
  const { status, output } = await moraineOnce(['runs', 'ls', '--data', elsewhere], remote);
  expect(status).toBe(1);
  expect(output).toContain(`No stack runs on ${elsewhere}.`);
  const wrongKey = await moraineOnce(['runs', 'ls'], { ...remote, OPENAI_API_KEY: 'mk-wrong' });
  expect(wrongKey.status).toBe(1);
  expect(wrongKey.output).not.toContain(runIds[1]);
});

test('status names the stack and says that no worker has reported', async () => {
  expect(await cli('status')).toEqual({
    status: 0,
    output: `The stack on ${dataDir} is at ${address.origin} (process ${up.child.pid}).\nNo worker has reported yet.\n`,
  });
  const { status, output } = await cli('status', '--json');
  expect([status, JSON.parse(output)]).toEqual([
    0,
    {
      ...{ data: dataDir, url: address.origin, pid: up.child.pid, workers: [], error: null },
      parts: [{ name: 'api', pid: expect.any(Number) }],
    },
  ]);
});

test('SIGTERM, as a service manager sends it, ends every part of the stack with status 0', async () => {
  expect(processesOf(dataDir).length).toBeGreaterThanOrEqual(4);
  up.child.kill('SIGTERM');
  expect(await up.ended).toBe(0);
  expect(processesOf(dataDir)).toEqual([]);
  expect((await cli('status')).output).toBe(`No stack runs on ${dataDir}.\n`);
  const { status, output } = await cli('status', '--json');
  expect([status, JSON.parse(output)]).toMatchObject([1, { url: null, parts: [], workers: null }]);
});
