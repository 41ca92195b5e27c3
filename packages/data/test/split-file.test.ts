import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { splitFile } from '../src/split-file.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-split-'));
afterAll(() => rmSync(dir, { recursive: true }));
let count = 0;

const row = (n: number): string => JSON.stringify({ prompt: `How much is ${n} + 1?`, completion: `${n + 1}` });
const rows = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => row(from + i));

/** Splits lines by sizes of validation and test; returns the report and the lines of validation, test and the rest. */
async function split(lines: string[], sizes: number[], seed = 1, end = '\n') {
  count += 1;
  const at = (name: string): string => join(dir, `${count}-${name}.jsonl`);
  writeFileSync(at('all'), lines.join(end) + end);
  const parts = sizes.map((size, i) => ({ file: at(`part-${i}`), size }));
  const report = await splitFile(at('all'), parts, at('rest'), seed);
  const read = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return { report, parts: report.parts.map(({ file }) => read(file)), at };
}

test('every row goes into one file, in the order and the letters of the whole, so many into each as asked for', async () => {
  const spaced = '{ "prompt":"Ü?" ,  "completion": "1.50" }';
  const lines = [...rows(0, 60), spaced, ...rows(60, 99)];
  const { report, parts } = await split(lines, [0.1, 25]);
  expect(report).toMatchObject({ rows: 100, distinct: 100 });
  expect(report.parts.map(({ rows: size }) => size)).toEqual([10, 25, 65]);
  expect(parts.map((part) => part.length)).toEqual([10, 25, 65]);
  const places = parts.map((part) => part.map((line) => lines.indexOf(line)));
  for (const place of places) expect(place).toEqual([...place].sort((a, b) => a - b));
  expect(places.flat().sort((a, b) => a - b)).toEqual(lines.map((_, i) => i));
});

test('the draw follows what rows say and the seed, not their order or how they are written', async () => {
  const lines = rows(0, 200);
  const sets = async (all: string[], seed: number): Promise<string[][]> =>
    (await split(all, [20, 20], seed)).parts.map((part) => part.map((line) => JSON.stringify(JSON.parse(line))).sort());
  const first = await sets(lines, 1);
  expect(await sets([...lines].reverse(), 1)).toEqual(first);
  expect(
    await sets(
      lines.map((line) => line.replaceAll('":"', '" : "')),
      1,
    ),
  ).toEqual(first);
  expect(await sets(lines, 2)).not.toEqual(first);
});

test('rows are drawn evenly: over 400 seeds each of ten rows is among the three of validation in 30 % of the draws', async () => {
  const lines = rows(0, 10);
  const drawn = new Map(lines.map((line) => [line, 0]));
  for (let seed = 0; seed < 400; seed++)
    for (const line of (await split(lines, [3], seed)).parts[0] ?? []) drawn.set(line, (drawn.get(line) ?? 0) + 1);
  // 120 of 400 expected; the standard deviation of a binomial count is √(400 · 0.3 · 0.7) = 9.2, so four of them are 37.
  for (const times of drawn.values()) expect(Math.abs(times - 120)).toBeLessThan(37);
});

test('rows that say the same go together, however they are written, and sizes count distinct ones', async () => {
  const twice = rows(0, 20).map((line) => line.replace('":"', '":  "'));
  const { report, parts } = await split([...rows(0, 20), ...twice, ...rows(0, 5)], [4, 0.25]);
  expect(report).toMatchObject({ rows: 45, distinct: 20 });
  expect(report.parts.map(({ distinct }) => distinct)).toEqual([4, 5, 11]);
  const said = parts.map((part) => new Set(part.map((line) => (JSON.parse(line) as { prompt: string }).prompt)));
  expect(said.map(({ size }) => size)).toEqual([4, 5, 11]);
  expect(new Set(said.flatMap((set) => [...set])).size).toBe(20);
});

test('line ends of Windows and a byte order mark leave the rows readable', async () => {
  const { parts } = await split([`\uFEFF${row(0)}`, ...rows(1, 10)], [2], 3, '\r\n');
  const read = parts.flat().map((line) => JSON.parse(line.replace('\uFEFF', '')) as unknown);
  expect(read).toHaveLength(10);
});

test.each([
  [[0.5, 5], /has 10 distinct rows: 50 % and 5 of them leave none to train on/],
  [[0.01], /1 % of them leave .*part-0\.jsonl without a row/],
])('sizes %j of ten rows are refused', async (sizes, message) => {
  await expect(split(rows(0, 10), sizes as number[])).rejects.toThrow(message as RegExp);
});

test('a bad row is named, and nothing is left behind', async () => {
  const ask = split([...rows(0, 10), '{"prompt": 1}'], [2]);
  await expect(ask).rejects.toMatchObject({ code: 'invalid_file', message: expect.stringMatching(/^Line 11: /) });
  expect(['part-0', 'rest'].map((name) => existsSync(join(dir, `${count}-${name}.jsonl`)))).toEqual([false, false]);
});

test('a file that is there stays as it is, and no other is made', async () => {
  const taken = join(dir, 'taken.jsonl');
  const [all, free] = [join(dir, 'all.jsonl'), join(dir, 'free.jsonl')];
  writeFileSync(taken, 'mine');
  writeFileSync(all, `${rows(0, 10).join('\n')}\n`);
  await expect(splitFile(all, [{ file: free, size: 2 }], taken, 1)).rejects.toMatchObject({ code: 'conflict' });
  expect(readFileSync(taken, 'utf8')).toBe('mine');
  expect(existsSync(free)).toBe(false);
});
