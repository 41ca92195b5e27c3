import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { FileModel } from '../ground/generated/models.js';
import { requireFile } from './require-file.js';

const WAIT_MS = 20_000;
const EVERY_MS = 100;

/** A file whose validation has ended, well or not: it is waited for. @throws AppError `not_found`; `not_ready` when that takes longer than 20 s. */
export async function waitForValidation(s: Services, actor: Actor, id: string, param: string): Promise<FileModel> {
  const deadline = performance.now() + WAIT_MS;
  let file = await requireFile(s, actor, id, param);
  while (file.status === 'uploaded' && performance.now() < deadline) {
    await sleep(EVERY_MS);
    file = await requireFile(s, actor, id, param);
  }
  if (file.status !== 'uploaded') return file;
  throw new AppError('not_ready', `${id} (${file.filename}) is still being validated.`, {
    param,
    hint: 'Poll its status until it is processed.',
  });
}

/**
 * A file that a run may read (`waitForValidation`).
 * @throws AppError `not_found`; `invalid_file` naming line, key and fix; `not_ready` when validation takes longer than 20 s.
 */
export async function waitForFile(s: Services, actor: Actor, id: string, param: string): Promise<FileModel> {
  const file = await waitForValidation(s, actor, id, param);
  if (file.status === 'error') {
    throw new AppError('invalid_file', `${id} (${file.filename}) has errors: ${file.statusDetails ?? 'unknown'}`, {
      param,
      hint: 'Correct these lines and upload the file again.',
    });
  }
  if (file.rows === null || file.rows < 1 || file.format === null) {
    throw new AppError('invalid_file', `${id} (${file.filename}, purpose ${file.purpose}) has no training rows.`, {
      param,
      hint: "Take a file that was uploaded with the purpose 'fine-tune'.",
    });
  }
  return file;
}
