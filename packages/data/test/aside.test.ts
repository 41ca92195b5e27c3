import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
// The built package: a thread runs files of `dist`.
import { checkBaseAside, encodeAside, splitAside, TOKENIZER_FILES, validateAside } from '@moraine/data';
import { expect, test } from 'vitest';
import { createQueue } from '../src/aside/queue.js';
import { QUEUE_OF } from '../src/aside/run-aside.js';

const base = join(import.meta.dirname, '../../../examples/base');
const files: Record<string, string> = {};
for (const name of TOKENIZER_FILES) {
  const text = await readFile(join(base, name), 'utf8').catch(() => null);
  if (text !== null) files[name] = text;
}

type Files = Record<string, string | Uint8Array>;

/** A folder with these files, as registration hands it on. */
async function stored(given: Files) {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-aside-'));
  return Promise.all(
    Object.entries(given).map(async ([name, bytes]) => {
      const path = join(dir, name);
      await writeFile(path, bytes);
      return { name, path, sizeBytes: (await stat(path)).size };
    }),
  );
}

/** The shipped base, with changes. */
const shipped = async (changes: Files = {}) =>
  stored({ ...files, 'model.safetensors': await readFile(join(base, 'model.safetensors')), ...changes });

/** The shipped tokenizer with 100,000 more tokens, which a base of its size has no row for. */
function largeTokenizer(): Files {
  const json = JSON.parse(files['tokenizer.json'] ?? '');
  for (let i = 0; i < 100_000; i += 1) json.model.vocab[`word ${i}`] = 1_024 + i;
  return { 'tokenizer.json': JSON.stringify(json) };
}

const config = (changes: object): Files => ({
  'config.json': JSON.stringify({ ...JSON.parse(files['config.json'] ?? ''), ...changes }),
});

/** Turns of the loop, and megabytes that the process grew by, while something is waited for. */
async function watch(wait: () => Promise<unknown>) {
  const before = process.memoryUsage.rss();
  let [turns, peak] = [0, before];
  const timer = setInterval(() => {
    turns += 1;
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  const result = await wait().catch((error: unknown) => error);
  clearInterval(timer);
  return { turns, grownMb: (peak - before) / 2 ** 20, result };
}

test('the shipped base is taken, and not with a tokenizer of more tokens than it has rows', async () => {
  expect(await checkBaseAside(await shipped())).toMatchObject({ context: 256, tieEmbeddings: true });
  await expect(checkBaseAside(await shipped(largeTokenizer()))).rejects.toMatchObject({
    name: 'AppError',
    code: 'invalid_base',
    param: 'tokenizer.json',
    message: expect.stringMatching(/makes token 101023|bytes; \d+ are enough/),
  });
});

test('the loop goes on while a large file of a base is read', async () => {
  // A megabyte for each of 1,024 tokens is not believed; this is below the limit and takes a while.
  const template = `{% if false %}${'x'.repeat(900_000)}{% endif %}{% for n in range(90000) %}{% set a = n ~ n ~ n %}{% endfor %}x`;
  const { turns } = await watch(async () => checkBaseAside(await shipped({ 'chat_template.jinja': template })));
  expect(turns).toBeGreaterThan(5);
});

test('a base that takes too long, or too much memory, is refused', async () => {
  const given = await shipped();
  await expect(checkBaseAside(given, { seconds: 0.01, megabytes: 4_096 })).rejects.toMatchObject({
    code: 'invalid_base',
    message: 'The files of the base cannot be read: that takes longer than 0.01 s.',
  });
  await expect(checkBaseAside(given, { seconds: 60, megabytes: 4 })).rejects.toMatchObject({
    code: 'invalid_base',
    message: 'The files of the base cannot be read: that needs more than 4 MB of memory.',
  });
});

/** A safetensors file of a header and nothing else. */
function headerOnly(header: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header)]);
}
const emptyTensors = (count: number): string =>
  `{${Array.from({ length: count }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join(',')}}`;
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

const HOSTILE: [what: string, given: () => Files, says: RegExp][] = [
  ['a million layers', () => config({ num_hidden_layers: 1_000_000 }), /num_hidden_layers: 1000000 is more than 1024/],
  ['rows for everybody', () => config({ vocab_size: 2 ** 40 }), /vocab_size: \d+ is more than 16777216/],
  ['a width beyond counting', () => config({ hidden_size: 2 ** 52 }), /hidden_size: \d+ is more than 262144/],
  ['heads without number', () => config({ num_attention_heads: 1e9 }), /num_attention_heads: \d+ is more than 4096/],
  ['an endless context', () => config({ max_position_embeddings: 2 ** 45 }), /max_position_embeddings: \d+ is more/],
  ['an epsilon that is none', () => config({ rms_norm_eps: 1e-300 }), /rms_norm_eps: 1e-300 is not between/],
  ['a theta that is none', () => config({ rope_theta: 1e308 }), /rope_theta: 1e\+308 is not between/],
  ['a list of kinds of layers', () => config({ architectures: Array(90_000).fill('x') }), /has 90000 entries/],
  ['a model far larger than its files', () => config({ num_hidden_layers: 1_000 }), /describes a model of \d+ numbers/],
  [
    'a header of 900,000 tensors',
    () => ({ 'model.safetensors': headerOnly(emptyTensors(900_000)) }),
    /weights have \d+/,
  ],
  [
    'one of 60,000, of the right size',
    () => ({ 'model.safetensors': headerOnly(emptyTensors(60_000)) }),
    /a header of \d+/,
  ],
  ['a config of 4 MB', () => config({ note: 'x'.repeat(4_000_000) }), /config\.json has 4\d+ bytes/],
  ['a deep config', () => config({ note: JSON.parse(nested(500)) }), /config\.json is nested more than 100/],
  [
    'a deep tokenizer',
    () => ({ 'tokenizer.json': nested(50_000) }),
    /tokenizer\.json of the base is nested more than 100/,
  ],
  [
    'a deep tokenizer config',
    () => ({ 'tokenizer_config.json': nested(50_000) }),
    /tokenizer_config\.json of the base is nested/,
  ],
  ['a deep index', () => ({ 'model.safetensors.index.json': nested(50_000) }), /index\.json is nested more than 100/],
];
test.each(HOSTILE)('%s is refused by what is wrong, at once and without memory', async (_what, given, says) => {
  const sent = await shipped(given());
  const begun = performance.now();
  const { result, grownMb } = await watch(() => checkBaseAside(sent));
  expect(result).toMatchObject({ code: 'invalid_base', message: expect.stringMatching(says) });
  expect(grownMb).toBeLessThan(256);
  expect(performance.now() - begun).toBeLessThan(20_000);
});

test('files are encoded in their order until the time is up, and what is wrong with a row comes back as it was said', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-aside-'));
  const write = async (name: string, count: number) => {
    const path = join(dir, name);
    await writeFile(
      path,
      `${JSON.stringify({ prompt: 'How many are two and two?', completion: ' Four.' })}\n`.repeat(count),
    );
    return { label: name, path };
  };
  const [long, short] = [await write('long', 200_000), await write('short', 3)];
  const task = { files, vocabSize: 1_024, day: '2024-05-06', maxSeqLen: 64 };
  const [first, second] = await encodeAside({ ...task, trainingFiles: 1, rows: [long, short], msMax: 1_000 });
  expect(first?.report.isPartial).toBe(true);
  expect(first?.report.rowsRead).toBeGreaterThan(0);
  expect(first?.report.rowsRead).toBeLessThan(200_000);
  expect(second?.report).toMatchObject({ rowsRead: 3, isPartial: false, rows: 3, dropped: {} });

  const refused = encodeAside({
    ...task,
    trainingFiles: 1,
    rows: [short],
    maxSeqLen: 4,
    overLength: 'error',
    msMax: 60_000,
  });
  await expect(refused).rejects.toMatchObject({
    code: 'user_data',
    message: expect.stringMatching(/^short: Line 1: The row has/),
    hint: expect.stringContaining('Raise max_seq_len'),
  });
});

test('what someone waits for does not stand behind files that are validated', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'moraine-aside-')), 'long');
  await writeFile(path, '{"prompt": "How many are two and two?", "completion": " Four."}\n'.repeat(120_000));
  const ended: string[] = [];
  const validate = () => validateAside(path).then(() => ended.push('validated'));
  const validated = [validate(), validate()];
  await checkBaseAside(await shipped()).then(() => ended.push('checked'));
  await Promise.all(validated);
  expect(ended).toEqual(['checked', 'validated', 'validated']);
});

test('a queue takes so many that wait, refuses the next, and takes again when one has ended', async () => {
  const queue = createQueue(1, 2);
  const ends: (() => void)[] = [];
  const task = () => queue(() => new Promise<void>((resolve) => ends.push(resolve)));
  const taken = [task(), task(), task()];
  await expect(task()).rejects.toMatchObject({
    code: 'rate_limited',
    message: '2 requests to read rows wait already.',
  });
  ends.shift()?.();
  await taken[0];
  taken.push(task());
  for (const one of taken.slice(1)) {
    await setImmediate();
    ends.shift()?.();
    await one;
  }
});

test('so many tasks of a queue run at a time, also when one comes as another ends', async () => {
  const queue = createQueue(2);
  let [running, most] = [0, 0];
  const task = () =>
    queue(async () => {
      running += 1;
      most = Math.max(most, running);
      await setImmediate();
      running -= 1;
    });
  const all = Array.from({ length: 5 }, task);
  for (const one of [...all]) all.push(one.then(task));
  await Promise.all(all);
  await expect(queue(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await Promise.all([task(), task(), task()]);
  expect([running, most]).toEqual([0, 2]);
});

test('a line of millions of values is a bad line, found without making them', async () => {
  const [file] = await stored({ 'values.jsonl': `{"messages":[${'[],'.repeat(4_000_000)}[]]}\n{"text":"a"}` });
  const begun = performance.now();
  const report = await validateAside(file?.path ?? '');
  expect(report.errors).toMatchObject([{ line: 1, message: expect.stringMatching(/more than 262144 values/) }]);
  expect(performance.now() - begun).toBeLessThan(30_000);
});

test('a process whose memory is full inside of Node’s own code takes nobody with it', async () => {
  const [file] = await stored({ 'text.jsonl': `{"text":"${'x'.repeat(15_000_000)}"}` });
  await expect(validateAside(file?.path ?? '', 20, { seconds: 60, megabytes: 20 })).rejects.toThrow(
    new RangeError('needs more than 20 MB of memory'),
  );
});

test('whatever reads a file of rows whole waits as long as it must, and is not refused behind sixteen others', () => {
  const patient = Object.entries(QUEUE_OF).filter(([, queue]) => queue === 'validate');
  expect(patient.map(([kind]) => kind).sort()).toEqual(['split', 'validate', 'validate_evals']);
});

test('a large file is divided beside the loop, and refused by the name that it is given', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-aside-'));
  const from = join(dir, 'rows.jsonl');
  await writeFile(from, Array.from({ length: 8_000 }, (_, i) => `{"prompt":"${i}","completion":"yes"}\n`).join(''));
  const task = { from, rest: join(dir, 'train'), seed: 7, name: 'theirs.jsonl' };
  const parts = [{ file: join(dir, 'validation'), size: 0.25 }];
  const { turns, result } = await watch(() => splitAside({ ...task, parts }));
  expect(result).toMatchObject({ rows: 8_000, parts: [{ rows: 2_000 }, { rows: 6_000 }] });
  expect(turns).toBeGreaterThan(5);
  const all = splitAside({ ...task, rest: join(dir, 'none'), parts: [{ file: join(dir, 'all'), size: 8_000 }] });
  await expect(all).rejects.toThrow(/^theirs\.jsonl has 8000 distinct rows: 8000 of them leave none to train on/);
});
