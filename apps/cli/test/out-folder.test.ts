import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import {
  checkpointsIn,
  metricsFile,
  placeExports,
  pruneCheckpoints,
  readStoredRun,
  refuseUsedFolder,
  type StoredRun,
  stepOf,
  writeStoredRun,
} from '../src/local/out-folder.js';

const root = mkdtempSync(path.join(tmpdir(), 'moraine out '));
let out: string;
beforeEach(() => {
  out = mkdtempSync(path.join(root, 'run '));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const inOut = (...parts: string[]): string => path.join(out, ...parts);
const makeCheckpoints = (...names: string[]): void => {
  for (const name of names) {
    mkdirSync(inOut('checkpoints', name), { recursive: true });
    writeFileSync(inOut('checkpoints', name, 'state.json'), '{}');
  }
};
const keeping = (keep_last: number) => ({ every_steps: 1, every_seconds: 0, keep_last });

test.each(['run.json', 'adapter', 'peft', 'merged', 'checkpoints', 'metrics.jsonl'])(
  'a folder that holds %s of an earlier run is not written over',
  (name) => {
    writeFileSync(inOut('notes.txt'), 'mine');
    expect(() => refuseUsedFolder(out)).not.toThrow();
    writeFileSync(inOut(name), '');
    expect(() => refuseUsedFolder(out)).toThrow(`${out} holds a run already: ${name}.`);
  },
);

test('a folder that does not exist may be used, a file may not', () => {
  expect(() => refuseUsedFolder(inOut('new'))).not.toThrow();
  writeFileSync(inOut('file'), '');
  expect(() => refuseUsedFolder(inOut('file'))).toThrow('is a file, not a folder');
});

test('the description of a run is read back as it was written, and no half of it is left beside it', () => {
  const run = { format: 1, base: '/b', data: '/d', valid: null, body: { seed: 3 } } as unknown as StoredRun;
  writeStoredRun(inOut('deep', 'er'), run);
  expect(readStoredRun(inOut('deep', 'er'))).toEqual(run);
  expect(readdirSync(inOut('deep', 'er'))).toEqual(['run.json']);
});

test('checkpoints are listed from the oldest; one that was not finished is none', () => {
  expect(checkpointsIn(out)).toEqual([]);
  makeCheckpoints('step-000020', 'step-000003', 'step-000100.part', '.step-000200');
  expect(checkpointsIn(out).map(stepOf)).toEqual([3, 20]);
});

test('the newest checkpoints are kept, also when there are fewer than asked for', () => {
  makeCheckpoints('step-000001', 'step-000002', 'step-000003');
  pruneCheckpoints(out, keeping(5));
  expect(checkpointsIn(out).map(stepOf)).toEqual([1, 2, 3]);
  pruneCheckpoints(out, keeping(2));
  expect(checkpointsIn(out).map(stepOf)).toEqual([2, 3]);
});

test('the checkpoint that a kept one knows as the best is kept too, unless that was not asked for', () => {
  makeCheckpoints('step-00000001', 'step-00000002', 'step-00000003', 'step-00000004');
  for (const [name, best] of [['step-00000003', { step: 1 }] as const, ['step-00000004', null] as const])
    writeFileSync(inOut('checkpoints', name, 'state.json'), JSON.stringify({ watched: { best } }));
  pruneCheckpoints(out, { ...keeping(2), keep_best: true });
  expect(checkpointsIn(out).map(stepOf)).toEqual([1, 3, 4]);
  const lowest = [{ step: 2 }, { step: 1 }];
  makeCheckpoints('step-00000005');
  writeFileSync(
    inOut('checkpoints', 'step-00000005', 'state.json'),
    JSON.stringify({ watched: { best: { step: 2 }, lowest } }),
  );
  pruneCheckpoints(out, { ...keeping(1), keep_best: 2 });
  expect(checkpointsIn(out).map(stepOf)).toEqual([1, 5]);
  makeCheckpoints('step-00000003', 'step-00000004');
  rmSync(inOut('checkpoints', 'step-00000005'), { recursive: true });
  pruneCheckpoints(out, { ...keeping(2), keep_best: false });
  expect(checkpointsIn(out).map(stepOf)).toEqual([3, 4]);
});

test('a resumed run forgets the metrics after its checkpoint, and a line that was cut short', () => {
  const add = metricsFile(out, 0);
  for (const step of [1, 2, 3]) add(step, { train_loss: step / 10 });
  writeFileSync(inOut('metrics.jsonl'), `${readFileSync(inOut('metrics.jsonl'), 'utf8')}{"step":1,"train_l`);
  metricsFile(out, 2)(3, { train_loss: 0.5 });
  expect(readFileSync(inOut('metrics.jsonl'), 'utf8')).toBe(
    '{"step":1,"train_loss":0.1}\n{"step":2,"train_loss":0.2}\n{"step":3,"train_loss":0.5}\n',
  );
});

test('exports take the place of older ones, and their workplace goes', () => {
  for (const dir of [inOut('exports', 'a'), inOut('adapter')]) mkdirSync(dir, { recursive: true });
  writeFileSync(inOut('exports', 'a', 'new'), '');
  writeFileSync(inOut('adapter', 'old'), '');
  expect(placeExports(out, [{ kind: 'adapter', dir: inOut('exports', 'a') }])).toEqual({ adapter: inOut('adapter') });
  expect(readdirSync(inOut('adapter'))).toEqual(['new']);
  expect(existsSync(inOut('exports'))).toBe(false);
});
