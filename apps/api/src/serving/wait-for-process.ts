import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { askForProcess, type ChosenProcess, chooseProcess, type ServedModel, type Services } from '@moraine/services';
import { underWay } from './under-way.js';

const WAIT_MS = 30_000;
const LOOK_EVERY_MS = 50;
/** A wish may get lost. */
const ASK_EVERY_MS = 1_000;

/**
 * The process that answers for a model. Where none does, one is asked for, and waited for as long as a caller can be kept.
 * @throws AppError `unavailable` where none came in time, or nobody is there to start one.
 */
export async function waitForProcess(
  s: Services,
  model: ServedModel,
  waitMs = WAIT_MS,
  signal?: AbortSignal,
): Promise<ChosenProcess> {
  const until = performance.now() + waitMs;
  let askedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const chosen = await chooseProcess(s, model, underWay.count);
    if (chosen !== null && chosen !== 'opening') return chosen;
    const now = performance.now();
    // Of one that is opening too: it may have died of it, which who started it knows.
    if (now - askedAt >= ASK_EVERY_MS) {
      askedAt = now;
      const heard = await askForProcess(s, model.base);
      if (heard === 0 && chosen === null) throw nobody(model);
    }
    if (now >= until) throw late(model);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

const nobody = ({ base }: ServedModel): AppError =>
  new AppError('unavailable', `No process answers for the base '${base.name}', and nobody is there to start one.`, {
    hint: `Start one on a machine of the cluster: npx moraine serve ${base.name}.`,
  });

const late = ({ base }: ServedModel): AppError =>
  new AppError('unavailable', `The base '${base.name}' is still being opened for answers.`, {
    hint: 'Try again in some seconds.',
  });
