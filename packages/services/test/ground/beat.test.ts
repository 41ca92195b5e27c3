import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startBeat } from '../../src/ground/beat.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'moraine-beat-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test.each([
  ['touches its file', undefined],
  ['writes into its file', () => 'said'],
])('a process %s for as long as its event loop turns, and no longer', async (_what, say) => {
  const file = join(dir, 'work', 'alive');
  const touchedAt = () => statSync(file).mtimeMs;
  const beat = startBeat(file, say, 10);
  try {
    const first = touchedAt();
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(first), 5_000);
    const before = touchedAt();
    for (const until = performance.now() + 60; performance.now() < until; );
    expect(touchedAt()).toBe(before);
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(before), 5_000);
    rmSync(file);
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(0), 5_000);
  } finally {
    beat.close();
  }
});

test('what a process says of itself is what it says last', async () => {
  const file = join(dir, 'alive');
  let said = '12';
  const beat = startBeat(file, () => said, 10);
  try {
    expect(readFileSync(file, 'utf8')).toBe('12');
    said = '7000';
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe('7000'), 5_000);
  } finally {
    beat.close();
  }
});

test('a process whose folder cannot be made runs on: what started it looks at the process then', () => {
  writeFileSync(join(dir, 'file'), '');
  startBeat(join(dir, 'file', 'alive'), undefined, 10).close();
});
