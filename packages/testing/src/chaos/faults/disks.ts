import { existsSync, readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SmallDisk } from '../../small-disk.js';
import { signalAll } from '../process-part.js';
import type { ChaosStack } from '../stack.js';
import { childrenOf, type Fault } from './fault.js';

const FULL_MS = 3_000;
const AGAIN_MS = 250;

const needsMount = ({ disks }: ChaosStack): string | null => (disks ? null : 'this user may not mount');

/** Keeps disks full: what is deleted on them meanwhile is taken as well. */
async function keepFull(disks: readonly SmallDisk[], ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(AGAIN_MS)) {
    for (const disk of disks) disk.fill();
  }
  for (const disk of disks) disk.free();
}

/** Turns a bit of the newest checkpoint on the disk. */
async function flipBit({ blobsDir }: ChaosStack): Promise<void> {
  const root = path.join(blobsDir, 'runs');
  if (!existsSync(root)) return;
  const states = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /checkpoints\/step-\d+\/state\.json$/.test(name))
    .map((name) => path.join(root, name))
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  const newest = states[0];
  if (newest === undefined) return;
  const file = await open(newest, 'r+');
  await file.write(Buffer.from([0xff]), 0, 1, 2);
  await file.close();
}

export const DISKS: readonly Fault[] = [
  {
    name: 'blob disk full',
    harms: 'none',
    impossible: needsMount,
    strike: ({ disks }) => keepFull(disks ? [disks.blobs] : [], FULL_MS),
  },
  {
    name: 'all disks full',
    harms: 'none',
    isLong: true,
    impossible: needsMount,
    async strike(stack) {
      await keepFull(Object.values(stack.disks ?? {}), stack.leaseMs + FULL_MS);
      // Postgres ends itself when it cannot write its log; whatever watches it starts it again.
      await stack.revive();
    },
  },
  {
    name: 'a bit of a checkpoint flipped, its worker killed',
    harms: 'all',
    async strike(stack) {
      await flipBit(stack);
      for (const worker of stack.workers) signalAll(childrenOf(worker), 'SIGKILL');
    },
  },
];
