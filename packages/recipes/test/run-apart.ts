import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { AttemptEvent, TrainSpec } from '@moraine/contract';

const PROGRAM = resolve(import.meta.dirname, 'fixtures/run-spec.mjs');

/** Runs specifications in a process of their own, one after the other, and answers the events of each. Uses the built package. */
export async function runApart(runs: readonly { spec: TrainSpec; stopAfter?: number }[]): Promise<AttemptEvent[][]> {
  const file = join(mkdtempSync(join(tmpdir(), 'moraine-apart-')), 'runs.json');
  writeFileSync(file, JSON.stringify(runs));
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, file], { maxBuffer: 2 ** 28 });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('['))
    .map((line) => JSON.parse(line) as AttemptEvent[]);
}
