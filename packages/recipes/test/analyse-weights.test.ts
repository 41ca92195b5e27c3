// Expected numbers: the weights that the runs wrote, read back and subtracted; what the engine's own decomposition finds in them.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AnalyseSpec, AttemptEvent } from '@moraine/contract';
import { summariseWeights, type WeightRow } from '@moraine/contract/analyses';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Control } from '../src/control.js';
import { analyseWeights, loadBase, readWeight } from '../src/index.js';
import { runAnalyse } from '../src/run-analyse.js';
import { METHODS, ofType, runOf, specOf, tinyTargets, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const dirs = new Map<string, { adapter: string; merged: string; checkpoints: string[] }>();

beforeAll(async () => {
  for (const name of ['lora', 'mora type 1', 'mora type 6', 'full']) {
    const spec = specOf(base, sums, METHODS[name] ?? { type: 'none' });
    spec.config.steps = 4;
    spec.config.checkpoint = { ...spec.config.checkpoint, every_steps: 2 };
    const events = await runOf(spec);
    const exports = ofType(events, 'finished')[0]?.exports ?? [];
    const folder = (kind: string): string => exports.find((each) => each.kind === kind)?.dir ?? '';
    const parent = join(spec.outDir, 'checkpoints');
    const checkpoints = existsSync(parent) ? readdirSync(parent).sort().map((each) => join(parent, each)) : []; // biome-ignore format: one line
    dirs.set(name, { adapter: folder('adapter'), merged: folder('merged'), checkpoints });
  }
});

const options = { baseDir: base, lambda: 1, k: 4, epsilon: 0.5, seed: 0, isWanted: () => true };

async function analyse(folders: string[], change: Partial<Parameters<typeof analyseWeights>[0]> = {}) {
  const rows: WeightRow[] = [];
  await analyseWeights({ ...options, dirs: folders, ...change }, (row) => rows.push(row));
  return rows;
}

const placeOf = (name: string) => {
  const found = dirs.get(name);
  if (found === undefined) throw new Error(`no run ${name}`);
  return found;
};

/** ‖W − W0‖_F / ‖W0‖_F of what a merged model has. */
function changeOf(merged: string, layer: string): number {
  const [before, after] = [base, merged].map((dir) => readWeight(loadBase(dir), `${layer}.weight`).data);
  let [apart, whole] = [0, 0];
  before?.forEach((value, i) => {
    apart += ((after?.[i] ?? 0) - value) ** 2;
    whole += value ** 2;
  });
  return Math.sqrt(apart / whole);
}

describe.each(['lora', 'mora type 1', 'mora type 6', 'full'])('%s', (name) => {
  test('every linear layer is a row, whose norm is that of the merged model’s change', async () => {
    const { adapter, merged } = placeOf(name);
    const rows = await analyse([name === 'full' ? merged : adapter]);
    expect(rows.map(({ layer }) => layer).sort()).toEqual([...tinyTargets].sort());
    for (const row of rows) {
      const wanted = changeOf(merged, row.layer);
      expect(wanted).toBeGreaterThan(0);
      expect((row.relative_norm ?? 0) / wanted).toBeCloseTo(1, 3);
      expect(row.from).toBe(['lora', 'mora type 1'].includes(name) ? 'factors' : 'matrix');
      expect(row.control?.rank_90).toBeGreaterThan(0);
      expect(row.cosines).toHaveLength(4);
    }
  });

  test('checkpoints are the course to it: each with its step, the last as the adapter is', async () => {
    const { adapter, merged, checkpoints } = placeOf(name);
    expect(checkpoints.length).toBeGreaterThanOrEqual(2);
    const rows = await analyse([...checkpoints, name === 'full' ? merged : adapter]);
    const [layer] = tinyTargets;
    const course = rows.filter((row) => row.layer === layer);
    expect(course.map(({ step }) => step)).toEqual([2, 4, null]);
    const norms = course.map(({ norm }) => norm);
    expect(norms[1]).toBeGreaterThan(norms[0] ?? 0);
    expect((norms[2] ?? 0) / (norms[1] ?? 1)).toBeCloseTo(1, 4);
    expect(summariseWeights(rows)).toHaveLength(3 * new Set(tinyTargets.map((each) => each.split('.').at(-1))).size);
  });

  test('a share of it is that share of its norm, with the same rank', async () => {
    const { adapter, merged } = placeOf(name);
    const dir = name === 'full' ? merged : adapter;
    const isWanted = (layer: string): boolean => layer === tinyTargets[1];
    const [[whole], [part], [none]] = [
      await analyse([dir], { isWanted }),
      await analyse([dir], { isWanted, lambda: 0.25 }),
      await analyse([dir], { isWanted, lambda: 0 }),
    ];
    expect((part?.norm ?? 0) / (whole?.norm ?? 1)).toBeCloseTo(0.25, 5);
    expect([part?.rank_90, part?.lambda]).toEqual([whole?.rank_90, 0.25]);
    expect(none).toMatchObject({ norm: 0, rank_90: 0, stable_rank: null, control: null, intruders: 0 });
  });
});

test('LoRA of rank r has a rank of at most r, and two folders of one name are told apart', async () => {
  const { adapter } = placeOf('lora');
  const rows = await analyse([adapter, adapter]);
  const rank = (METHODS.lora as { rank: number }).rank;
  for (const row of rows) expect(row.rank_90).toBeLessThanOrEqual(rank);
  expect(new Set(rows.map(({ source }) => source)).size).toBe(2);
});

test('the control depends on the seed', async () => {
  const { adapter } = placeOf('lora');
  const isWanted = (layer: string): boolean => layer === tinyTargets[0];
  const cosines = async (seed: number) => (await analyse([adapter], { isWanted, seed }))[0]?.control?.cosines;
  expect(await cosines(1)).toEqual(await cosines(1));
  expect(await cosines(1)).not.toEqual(await cosines(2));
});

test('no layer of a wanted name is refused with one that there is; a stop ends between layers', async () => {
  const { adapter } = placeOf('lora');
  await expect(analyse([adapter], { isWanted: () => false })).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining(tinyTargets[0] ?? ''),
  });
  let rows = 0;
  const ended = await analyseWeights({ ...options, dirs: [adapter], isStopped: () => rows >= 2 }, () => {
    rows++;
  });
  expect([ended, rows]).toEqual(['stopped', 2]);
});

describe('an analysis as a task', () => {
  const spec = (tunedDir: string, from = 0): AnalyseSpec => ({
    kind: 'analyse',
    taskId: 'analysis_test',
    attempt: 1,
    model: 'ft:tiny',
    baseDir: base,
    tunedDir,
    step: 4,
    lambda: 1,
    ask: { kind: 'weights', layers: null, k: 4, epsilon: 0.5, seed: 0 },
    file: null,
    from,
    outDir: base,
    threads: 1,
  });
  const run = async (given: AnalyseSpec, control: Partial<Control> = {}) => {
    const events: AttemptEvent[] = [];
    await runAnalyse(given, (event) => events.push(event), { stopRequested: () => null, ...control });
    return { events, rows: ofType(events, 'analysis_rows').flatMap(({ rows }) => rows) };
  };

  test('says what comes, names the model and its step in each row, and goes on behind rows that are stored', async () => {
    const dir = placeOf('lora').checkpoints[1] ?? '';
    const phases: string[] = [];
    const { events, rows } = await run(spec(dir), { progress: (phase) => phases.push(phase) });
    const total = tinyTargets.length;
    expect(events[0]).toMatchObject({ type: 'analysing', from: 0, total, others: 0 });
    expect(events.at(-1)).toMatchObject({ type: 'finished', step: total });
    expect(rows.map(({ index }) => index)).toEqual(tinyTargets.map((_, i) => i));
    const direct = (await analyse([dir])).map((row) => ({ ...row, source: 'ft:tiny', step: 4 }));
    expect(rows.map(({ row }) => row)).toEqual(direct);
    expect(phases.filter((phase) => phase === 'analysis').length).toBeGreaterThanOrEqual(total);
    const rest = await run(spec(dir, 3));
    expect(rest.events[0]).toMatchObject({ from: 3, total });
    expect(rest.rows).toEqual(rows.slice(3));
  });

  test('that is asked to stop ends after whole rows', async () => {
    let seen = 0;
    const { events, rows } = await run(spec(placeOf('lora').adapter), {
      progress: () => {
        seen++;
      },
      stopRequested: () => (seen >= 4 ? 'drain' : null),
    });
    expect(events.at(-1)).toMatchObject({ type: 'stopped', reason: 'drain', step: 2 });
    expect(rows).toHaveLength(2);
  });
});
