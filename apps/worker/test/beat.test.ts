import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startBeat } from '../src/beat.js';

test('a worker touches its file for as long as its event loop turns, and no longer', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-beat-'));
  const workDir = join(dir, 'work');
  const touchedAt = () => statSync(join(workDir, 'alive')).mtimeMs;
  const beat = startBeat(workDir, 10);
  try {
    const first = touchedAt();
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(first), 5_000);
    const before = touchedAt();
    for (const until = Date.now() + 60; Date.now() < until; );
    expect(touchedAt()).toBe(before);
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(before), 5_000);
    rmSync(join(workDir, 'alive'));
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(0), 5_000);
  } finally {
    beat.close();
    rmSync(dir, { recursive: true });
  }
});

test('a worker whose folder cannot be made runs on: what started it looks at its process then', () => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-beat-'));
  writeFileSync(join(dir, 'file'), '');
  startBeat(join(dir, 'file'), 10).close();
  rmSync(dir, { recursive: true });
});
