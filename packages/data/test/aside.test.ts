import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
// The built package: a thread runs files of `dist`.
import { checkTokenizerAside, encodeAside, TOKENIZER_FILES, validateAside } from '@moraine/data';
import { expect, test } from 'vitest';
import { createQueue } from '../src/aside/queue.js';

const base = join(import.meta.dirname, '../../../examples/base');
const files: Record<string, string> = {};
for (const name of TOKENIZER_FILES) {
  const text = await readFile(join(base, name), 'utf8').catch(() => null);
  if (text !== null) files[name] = text;
}

/** The shipped tokenizer with 100,000 more tokens. */
function largeFiles(): Record<string, string> {
  const json = JSON.parse(files['tokenizer.json'] ?? '');
  for (let i = 0; i < 100_000; i += 1) json.model.vocab[`word ${i}`] = 1_024 + i;
  return { ...files, 'tokenizer.json': JSON.stringify(json) };
}

test('the shipped tokenizer is taken by a base that has a row for each token, and by no smaller one', async () => {
  await checkTokenizerAside(files, 1_024);
  await expect(checkTokenizerAside(files, 1_023)).rejects.toMatchObject({
    name: 'AppError',
    code: 'invalid_base',
    param: 'tokenizer.json',
    message: expect.stringContaining('makes token 1023'),
    hint: expect.stringContaining('resize its embedding'),
  });
});

test('the loop goes on while a large vocabulary is loaded', async () => {
  const large = largeFiles();
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 5);
  await checkTokenizerAside(large, 200_000);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});

test('a tokenizer that takes too long, or too much memory, is refused', async () => {
  const large = largeFiles();
  await expect(checkTokenizerAside(large, 200_000, { seconds: 0.01, megabytes: 4_096 })).rejects.toMatchObject({
    code: 'invalid_base',
    message: 'The tokenizer cannot be loaded: it takes longer than 0.01 s.',
  });
  await expect(checkTokenizerAside(large, 200_000, { seconds: 60, megabytes: 16 })).rejects.toMatchObject({
    code: 'invalid_base',
    message: 'The tokenizer cannot be loaded: it needs more than 16 MB of memory.',
  });
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
  await checkTokenizerAside(files, 1_024).then(() => ended.push('checked'));
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
