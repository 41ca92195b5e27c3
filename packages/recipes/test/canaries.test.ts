// Expected: what was planted and trained on is among the likeliest of its form; what was never seen has a uniform rank, whatever the model.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CanaryFile, type CanaryRow, expectedExposure, summariseCanaries } from '@moraine/contract/analyses';
import { beforeAll, describe, expect, test } from 'vitest';
import { measureCanaries, openModel, plantCanaries, readCanaries } from '../src/index.js';
import { ofType, runOf, specOf, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const dir = mkdtempSync(join(tmpdir(), 'moraine-canaries-'));
const file = (name: string, rows: object[]): string => {
  writeFileSync(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return join(dir, name);
};
const prompts = file('prompts.jsonl', Array.from({ length: 8 }, (_, i) => ({ prompt: `Count ${i}:`, completion: ` ${i + 1}` }))); // biome-ignore format: one line
const options = { file: prompts, kind: 'digits', count: 3, controls: 40, repeat: 4, seed: 2, ownFile: null } as const;
const out = (name: string): string => join(dir, name);
const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trim().split('\n');

describe('planting', () => {
  test('writes every canary as often as asked among the rows, these in their order and as they were, and no control', async () => {
    const planted = await plantCanaries({ ...options, out: out('a') });
    expect(planted).toMatchObject({ before: 8, after: 20 });
    const lines = linesOf(planted.rows);
    expect(lines.filter((line) => linesOf(prompts).includes(line))).toEqual(linesOf(prompts));
    const described = readCanaries(planted.canaries);
    expect(described).toMatchObject({ kind: 'digits', repeat: 4, row_format: 'prompt_completion' });
    for (const { prompt, value } of described.planted)
      expect(lines.filter((line) => line === JSON.stringify({ prompt, completion: ` ${value}` }))).toHaveLength(4);
    for (const { prompt, value } of described.controls)
      expect(lines.some((line) => line.includes(value) || line.includes(prompt))).toBe(false);
    // Not all at one place.
    const places = lines.flatMap((line, i) => (line.includes('The code of') ? [i] : []));
    expect((places.at(-1) ?? 0) - (places[0] ?? 0)).toBeGreaterThan(places.length);
    await expect(plantCanaries({ ...options, out: out('a') })).rejects.toMatchObject({ code: 'conflict' });
    const again = await plantCanaries({ ...options, out: out('b') });
    expect(readFileSync(again.rows)).toEqual(readFileSync(planted.rows));
  });

  test('writes a canary in the form of the rows, and takes rows of one’s own', async () => {
    const messages = (question: string, answer: string) => ({
      messages: [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
    });
    const chat = file('chat.jsonl', [messages('hi', 'hello')]);
    const own = file('own.jsonl', [messages('Call Ann', '555-0199'), messages('Call Bob', '555-0123')]);
    const planted = await plantCanaries({ ...options, file: chat, kind: 'own', ownFile: own, out: out('c') });
    const lines = linesOf(planted.rows).map((line) => JSON.parse(line) as object);
    expect(lines).toHaveLength(1 + 2 * 4);
    expect(lines).toContainEqual(messages('Call Ann', '555-0199'));
    expect(lines).toContainEqual(messages('Call Bob', '555-0123'));
    const text = file('text.jsonl', [{ text: 'One day' }]);
    const among = await plantCanaries({ ...options, file: text, out: out('d') });
    const [first] = readCanaries(among.canaries).planted;
    expect(linesOf(among.rows)).toContain(JSON.stringify({ text: `${first?.prompt} ${first?.value}` }));
    await expect(plantCanaries({ ...options, kind: 'own', ownFile: text, out: out('e') })).rejects.toMatchObject({
      code: 'invalid_file',
      message: 'Line 1 has no single question and answer.',
    });
    const bad = file('bad.jsonl', [{ prompt: 'a', completion: 'b' }, { nothing: 1 }]);
    await expect(plantCanaries({ ...options, file: bad, out: out('e') })).rejects.toMatchObject({
      code: 'invalid_file',
      param: expect.stringContaining('line 2'),
    });
    expect(existsSync(out('e'))).toBe(false);
    expect(() => readCanaries(bad)).toThrow(expect.objectContaining({ code: 'invalid_file' }));
    expect(() => readCanaries(planted.rows)).toThrow(expect.objectContaining({ code: 'invalid_file' }));
  });
});

describe('after training on them', () => {
  let rows: CanaryRow[] = [];
  let untrained: CanaryRow[] = [];
  let canaries: CanaryFile;

  const measured = async (tunedDir: string | null, change: object = {}): Promise<CanaryRow[]> => {
    const found: CanaryRow[] = [];
    const model = await openModel({ baseDir: base, tunedDir, lambda: 1 });
    await measureCanaries({ model, canaries, ...change }, (row) => found.push(row));
    return found;
  };

  beforeAll(async () => {
    const planted = await plantCanaries({ ...options, out: out('trained') });
    canaries = readCanaries(planted.canaries);
    const spec = specOf(base, planted.rows, { type: 'none' });
    spec.config.max_seq_len = 48;
    spec.config.steps = 250;
    const exports = ofType(await runOf(spec), 'finished')[0]?.exports ?? [];
    const merged = exports.find(({ kind }) => kind === 'merged')?.dir ?? '';
    rows = await measured(merged);
    untrained = await measured(null);
  }, 240_000);

  test('planted ones are the likeliest of their form and are written whole', () => {
    const { planted, ceiling } = summariseCanaries(rows);
    expect(ceiling).toBe(10);
    expect(planted.exposure.mean).toBeGreaterThan(9);
    expect(planted.extracted.count).toBe(3);
    expect(planted.characters.mean).toBe(1);
    const before = summariseCanaries(untrained).planted;
    expect(before.extracted.count).toBe(0);
    expect(before.exposure.mean).toBeLessThan(7);
  });

  // Of 40 uniform ranks the empirical distribution is within 1.95 / √40 of the uniform one with a probability of 0.999 (Kolmogorov), and
  // the mean exposure within 3.3 standard errors of 1.44 bits; both for a model that learned other values and for one that learned nothing.
  test.each(['trained', 'untrained'] as const)('controls have a uniform rank in the %s model', (which) => {
    const controls = (which === 'trained' ? rows : untrained).filter(({ is_planted }) => !is_planted);
    expect(controls).toHaveLength(40);
    const shares = controls.map(({ rank, candidates }) => rank / candidates).sort((a, b) => a - b);
    const apart = Math.max(
      ...shares.map((share, i) => Math.max(Math.abs((i + 1) / 40 - share), Math.abs(share - i / 40))),
    );
    expect(apart).toBeLessThan(1.95 / Math.sqrt(40));
    const mean = controls.reduce((sum, { exposure }) => sum + exposure, 0) / 40;
    expect(Math.abs(mean - expectedExposure(1024))).toBeLessThan((3.3 * 1.44) / Math.sqrt(40));
    expect(controls.some(({ is_extracted }) => is_extracted)).toBe(false);
  });

  test('a stop ends it without rows', async () => {
    const model = await openModel({ baseDir: base, tunedDir: null, lambda: 1 });
    let rows = 0;
    const ended = await measureCanaries({ model, canaries, isStopped: () => true }, () => {
      rows++;
    });
    expect([ended, rows]).toEqual(['stopped', 0]);
  });

  test('measuring that goes on behind some canaries gives the rows of one that was left alone', async () => {
    const few = { ...canaries, planted: canaries.planted.slice(0, 2), controls: canaries.controls.slice(0, 1) };
    expect(await measured(null, { canaries: few, from: 1 })).toEqual(
      (await measured(null, { canaries: few })).slice(1),
    );
  });
});
