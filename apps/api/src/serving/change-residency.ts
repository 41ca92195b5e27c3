import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { AppError } from '@moraine/contract';
import { toAppError } from '@moraine/contract/client';
import {
  type ChosenProcess,
  listReadyProcesses,
  loseProcess,
  type ServedModel,
  type Services,
} from '@moraine/services';
import { askProcess, isNotDelivered } from './ask-process.js';

export type Residency = 'pin' | 'unpin' | 'unload';

/**
 * Has every process that answers for a base pin, unpin or unload what was trained on it; how many there were. One that nobody finds at its address
 * is forgotten. @throws AppError of the first that refuses, after all were asked.
 */
export async function changeResidency(
  s: Services,
  model: ServedModel,
  act: Residency,
  signal: AbortSignal,
): Promise<number> {
  const processes = await listReadyProcesses(s, model.base);
  const asked = await Promise.allSettled(processes.map((process) => ask(s, process, model, act, signal)));
  for (const one of asked) if (one.status === 'rejected') throw one.reason;
  return asked.filter((one) => one.status === 'fulfilled' && one.value).length;
}

/** Whether it was there to be asked. */
async function ask(
  s: Services,
  process: ChosenProcess,
  model: ServedModel,
  act: Residency,
  signal: AbortSignal,
): Promise<boolean> {
  const question = { model, path: `/adapters/${act}`, body: Buffer.from('{}') };
  const response = await askProcess(s, process, question, signal).catch((error: unknown) => {
    if (isNotDelivered(error)) return null;
    throw ended(error);
  });
  if (response === null || response.statusCode === 401) {
    response?.destroy();
    await loseProcess(s, process.id);
    return false;
  }
  const body = await text(response).catch((error: unknown) => {
    throw ended(error);
  });
  if (!isFine(response)) throw toAppError(response.statusCode ?? 502, body);
  return true;
}

const isFine = ({ statusCode = 502 }: IncomingMessage): boolean => statusCode < 400;

const ended = (cause: unknown): AppError =>
  new AppError('unavailable', 'A process of the base ended before it had done this.', { hint: 'Try again.', cause });
