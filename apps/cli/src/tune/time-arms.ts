import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, isTerminal } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { ARM_NAMES, type ArmName, probeRequest, type TuneInput } from './plan.js';

const POLL_MS = 500;

/**
 * Times a short run of each arm, so that a first budget rests on what this pool does and not on a guess. Those that do not fit, fail or take longer than `seconds` are left out: their
 * estimate stays a guess. Returns the seconds that it took.
 */
export async function timeArms(client: Client, input: TuneInput, seconds: number): Promise<number> {
  const begun = performance.now();
  const started = await Promise.all(ARM_NAMES.map((arm) => start(client, input, arm)));
  const open = new Set(started.filter((id) => id !== null));
  const end = begun + 1000 * seconds;
  while (open.size > 0 && performance.now() < end) {
    await sleep(POLL_MS);
    for (const id of open) if (await hasEnded(client, id)) open.delete(id);
  }
  for (const id of open) await client.call('cancelRun', { params: { id } });
  return (performance.now() - begun) / 1000;
}

async function start(client: Client, input: TuneInput, arm: ArmName): Promise<string | null> {
  try {
    return (await client.call('createRun', { body: probeRequest(input, arm) })).id;
  } catch (error) {
    if (!(error instanceof AppError) || error.retryable) throw error;
    return null;
  }
}

async function hasEnded(client: Client, id: string): Promise<boolean> {
  const run = await client.call('getRun', { params: { id } }).catch((error: unknown) => {
    if (error instanceof AppError && error.retryable) return null;
    throw error;
  });
  return run !== null && run.status !== 'paused' && isTerminal(run.status);
}
