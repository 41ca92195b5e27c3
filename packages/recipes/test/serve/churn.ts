import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { createRandom } from '@moraine/contract/random';
import { hashTrained, openServed, type Served } from '../../src/index.js';
import { writeTinyBase } from '../tiny-base.js';
import { writeAdapter } from './trained-folders.js';

/** What came of requests while adapters were replaced. */
export interface ChurnResult {
  requests: number;
  /** Answers that are not those of the adapter that the name stood for when the request came, alone on a server. */
  wrong: number;
  /** How often a name was given to another adapter, or an adapter was brought back from the disk. */
  changes: number;
}

const TOKENS = 3;
const UNDER_WAY = 8;
/** So long a beginning is not read again where it is held for the same adapter. */
const BEGINNING = Array.from({ length: 20 }, (_, i) => 7 + 11 * i);
const PROMPTS = [
  [5, 9, 77],
  [30, 120, 8, 41],
  [...BEGINNING, 99, 6],
  [...BEGINNING, 201, 44, 13, 5, 7],
];

interface Pool {
  baseDir: string;
  dirs: string[];
  /** Answer of adapter a to prompt p, alone. */
  expected: string[][];
}

/** Adapters whose answers all differ, of two kinds, and what each answers on a server of its own. */
async function makePool(count: number, from: number): Promise<Pool> {
  const baseDir = writeTinyBase();
  const dirs = Array.from({ length: count }, (_, i) =>
    i % 2 === 0
      ? writeAdapter(baseDir, { type: 'lora', rank: 2, alpha: 4, use_rslora: false }, from + i, { by: 0.8 })
      : writeAdapter(baseDir, { type: 'mora', rank: 4, mora_type: 6 }, from + i, { by: 0.8 }),
  );
  const expected: string[][] = [];
  const adapters = dirs.map((dir, i) => ({ name: `a${i}`, dir }));
  const alone = await openServed({ baseDir, baseName: 'tiny', adapters, rows: 1 });
  for (const { name } of adapters) {
    const answers: string[] = [];
    for (const prompt of PROMPTS) answers.push(await ask(alone, name, prompt));
    expected.push(answers);
  }
  alone.dispose();
  if (new Set(expected.map(String)).size < count) throw new Error('two adapters of the pool answer alike');
  return { baseDir, dirs, expected };
}

/** Asks again where there is no room for a moment, as clients do. */
async function ask(served: Served, model: string, prompt: readonly number[]): Promise<string> {
  for (;;) {
    try {
      return (await served.begin(model, 1, prompt, { maxNewTokens: TOKENS }).completion).ids.join();
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'unavailable')) throw error;
      await new Promise(setImmediate);
    }
  }
}

/** Asks until `requests` were answered, some at once; `change` is called on the way. */
async function asked(
  requests: number,
  one: (request: number) => Promise<boolean>,
  every: number,
  change: () => Promise<void>,
): Promise<ChurnResult> {
  const result = { requests: 0, wrong: 0, changes: 0 };
  let next = 0;
  let changing = Promise.resolve();
  const worker = async (): Promise<void> => {
    while (next < requests) {
      const request = next++;
      if (request % every === every - 1)
        changing = changing.then(change).then(() => {
          result.changes += 1;
        });
      if (!(await one(request))) result.wrong += 1;
      result.requests += 1;
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, worker));
  await changing;
  return result;
}

/**
 * One name, one folder: again and again the adapter is deleted and another one created under both, while it is asked. Nobody may be answered
 * by the one that was there before.
 */
export async function reuseName(requests: number): Promise<ChurnResult> {
  const { baseDir, dirs, expected } = await makePool(5, 100);
  const served = await openServed({ baseDir, baseName: 'tiny', adapters: [], rows: UNDER_WAY });
  const place = join(mkdtempSync(join(tmpdir(), 'moraine-churn-')), 'mine');
  const ids = await Promise.all(dirs.map(hashTrained));
  const put = async (which: number): Promise<void> => {
    rmSync(place, { recursive: true, force: true });
    makeFolder(place);
    cpSync(dirs[which] ?? '', place, { recursive: true });
    await served.load({ id: await hashTrained(place), dir: place });
  };
  let current = 0;
  await put(current);
  const random = createRandom(1);
  const result = await asked(
    requests,
    async () => {
      const which = current;
      const p = Math.floor(random.next() * PROMPTS.length);
      const answer = await ask(served, ids[which] ?? '', PROMPTS[p] ?? []);
      return answer === expected[which]?.[p];
    },
    10,
    async () => {
      // Of the same kind or another, by turns.
      const [old, next] = [current, (current + 2) % dirs.length];
      await put(next);
      current = next;
      await served.unload(ids[old] ?? '');
    },
  );
  served.dispose();
  return result;
}

/** Two tenants with adapters of the same names, more of them than fit in memory and in rows. Nobody may be answered by another's. */
export async function twoTenants(requests: number): Promise<ChurnResult> {
  const { baseDir, dirs, expected } = await makePool(12, 200);
  const ids = await Promise.all(dirs.map(hashTrained));
  const all = await openServed({
    baseDir,
    baseName: 'tiny',
    adapters: dirs.map((dir, i) => ({ name: `${i}`, dir })),
    rows: UNDER_WAY,
  });
  const [whole, adapters] = [all.memoryBytes(), all.resident().reduce((sum, { bytes }) => sum + bytes, 0)];
  all.dispose();
  // The base with both kinds, and a part of the adapters.
  const memoryBytes = whole - adapters / 2;
  const [first, second] = dirs;
  const kinds = [first, second].map((dir = '', i) => ({ name: `kind${i}`, dir }));
  const served = await openServed({ baseDir, baseName: 'tiny', adapters: kinds, rows: UNDER_WAY, memoryBytes });
  for (const [i, dir] of dirs.entries()) await served.load({ id: ids[i] ?? '', dir });
  const random = createRandom(2);
  const draw = (below: number): number => Math.floor(random.next() * below);
  let brought = 0;
  const result = await asked(
    requests,
    async () => {
      // Tenant t calls adapter 2n + t "n".
      const [tenant, name, p] = [draw(2), draw(dirs.length / 2), draw(PROMPTS.length)];
      const which = 2 * name + tenant;
      const id = ids[which] ?? '';
      if (served.resident().find((one) => one.id === id)?.kind === 'disk') brought += 1;
      return (await ask(served, id, PROMPTS[p] ?? [])) === expected[which]?.[p];
    },
    Number.POSITIVE_INFINITY,
    async () => undefined,
  );
  served.dispose();
  return { ...result, changes: brought };
}
