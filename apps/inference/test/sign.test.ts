import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startSign } from '../src/sign.js';

test('a process says for how long nobody has asked it for as long as its event loop turns, and no longer', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-sign-'));
  const file = join(dir, 'work', 'one.alive');
  const touchedAt = () => statSync(file).mtimeMs;
  let idleMs = 12.4;
  const sign = startSign(file, () => idleMs, 10);
  try {
    expect(readFileSync(file, 'utf8')).toBe('12');
    idleMs = 7_000;
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe('7000'), 5_000);
    const before = touchedAt();
    for (const until = performance.now() + 60; performance.now() < until; );
    expect(touchedAt()).toBe(before);
    await vi.waitFor(() => expect(touchedAt()).toBeGreaterThan(before), 5_000);
  } finally {
    sign.close();
    rmSync(dir, { recursive: true });
  }
});
