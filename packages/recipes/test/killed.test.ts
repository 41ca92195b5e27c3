import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AttemptEvent, TrainSpec } from '@moraine/contract';
import { expect, it } from 'vitest';
import { lossesOf, METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const PROGRAM = resolve(import.meta.dirname, 'fixtures/run-live.mjs');
const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 40);

/** Six steps of 12 rows in 4 parts. */
const inParts = (more: Partial<TrainSpec> = {}): TrainSpec => {
  const spec = specOf(base, sums, METHODS.lora ?? { type: 'none' }, more);
  const checkpoint = { every_steps: 2, every_seconds: 0, keep_last: 3 };
  Object.assign(spec.config, { batch_size: 12, accumulation: 4, steps: 6, checkpoint });
  return spec;
};

/** Runs in a process that is killed between two micro-batches of the step after `steps`; returns what it said, and how it ended. */
async function killedAfter(spec: TrainSpec, steps: number): Promise<{ events: AttemptEvent[]; signal: unknown }> {
  const file = join(mkdtempSync(join(tmpdir(), 'moraine-killed-')), 'spec.json');
  writeFileSync(file, JSON.stringify(spec));
  const child = spawn(process.execPath, [PROGRAM, file, `${steps}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const signal = await new Promise((ended) => child.once('close', (_status, by) => ended(by)));
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return { events: lines.map((line) => JSON.parse(line) as AttemptEvent), signal };
}

it('a run that is killed among the micro-batches of a step repeats that step whole, to the bit', {
  timeout: 120_000,
}, async () => {
  const whole = await runOf(inParts());
  const spec = inParts();
  const { events, signal } = await killedAfter(spec, 3);
  expect(signal).toBe('SIGKILL');
  expect(lossesOf(events)).toEqual(lossesOf(whole).slice(0, 3));
  const folders = readdirSync(join(spec.outDir, 'checkpoints'));
  expect(folders).toEqual(['step-00000002']);
  const rest = await runOf(inParts({ resumeFrom: join(spec.outDir, 'checkpoints', folders[0] ?? '') }));
  expect(lossesOf(rest)).toEqual(lossesOf(whole).slice(2));
  const adapterOf = (of: readonly AttemptEvent[]) => {
    const dir = ofType(of, 'finished')[0]?.exports.find(({ kind }) => kind === 'adapter')?.dir ?? '';
    return readFileSync(join(dir, 'adapter_model.safetensors'));
  };
  expect(adapterOf(rest).equals(adapterOf(whole))).toBe(true);
});
