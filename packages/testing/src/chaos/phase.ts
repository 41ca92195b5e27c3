import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Part } from './process-part.js';
import type { ChaosStack } from './stack.js';

/** What an attempt does when the fault strikes. */
export const PHASES = ['claim', 'step', 'checkpoint', 'upload'] as const;
export type Phase = (typeof PHASES)[number];

/** Where a phase shows. */
type Seen = Pick<ChaosStack, 'blobsDir' | 'workDirOf' | 's'> & { workers: readonly Part[] };

const LOOK_MS = 2;
const ASK_MS = 20;

const namesIn = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Folders of checkpoints of a worker's attempts: `<work>/<process>/<attempt>/checkpoints`. */
function checkpointsOf(workDir: string): string[] {
  const below = (dir: string): string[] => namesIn(dir).map((name) => path.join(dir, name));
  const folders = below(workDir).filter((dir) => /\/\d+-\d*$/.test(dir));
  return folders.flatMap(below).flatMap((dir) => namesIn(path.join(dir, 'checkpoints')));
}

const isUnfinished = (name: string): boolean => name.startsWith('.tmp-');

/** A worker that is in the phase this moment, from what is on the disks; null where none is. */
function looksLike(stack: Seen, phase: 'checkpoint' | 'upload'): Part | null {
  const isUploading = phase === 'checkpoint' || namesIn(path.join(stack.blobsDir, '.incoming')).length > 0;
  if (!isUploading) return null;
  const isIn = (worker: Part): boolean => {
    const names = checkpointsOf(stack.workDirOf(worker));
    return phase === 'checkpoint' ? names.some(isUnfinished) : names.some((name) => !isUnfinished(name));
  };
  return stack.workers.find(isIn) ?? null;
}

/** A worker that has one of the runs and is in the phase, by what Postgres says. */
async function saysIn(
  stack: Seen,
  phase: 'claim' | 'step',
  ids: readonly string[],
  atStep: number,
): Promise<Part | null> {
  const isIn = phase === 'claim' ? `t.state = 'provisioning'` : `t.state IS NULL AND r.step >= ${Math.floor(atStep)}`;
  const { rows } = await stack.s.pg
    .query<{ name: string }>(
      `SELECT w.name FROM tasks t JOIN runs r ON r.id = t.id JOIN attempts a ON a.task_id = t.id AND a.attempt = t.attempt
       JOIN workers w ON w.id = a.worker_id WHERE t.id = ANY($1) AND t.status = 'running' AND ${isIn}`,
      [ids],
    )
    .catch(() => ({ rows: [] }));
  return stack.workers.find(({ name }) => rows.some((row) => row.name === name)) ?? null;
}

/** Waits until an attempt of these runs is in the phase; returns its worker, or null when none was before all had ended or the time was over. */
export async function untilPhase(
  stack: Seen,
  phase: Phase,
  {
    ids,
    atStep,
    timeoutMs,
    areOver,
  }: { ids: readonly string[]; atStep: number; timeoutMs: number; areOver: () => Promise<boolean> },
): Promise<Part | null> {
  const end = performance.now() + timeoutMs;
  let asked = 0;
  while (performance.now() < end) {
    const isFile = phase === 'checkpoint' || phase === 'upload';
    const found = isFile ? looksLike(stack, phase) : await saysIn(stack, phase, ids, atStep);
    if (found) return found;
    if (performance.now() - asked > 500) {
      if (await areOver()) return null;
      asked = performance.now();
    }
    await sleep(isFile ? LOOK_MS : ASK_MS);
  }
  return null;
}
