import { AppError, type CreateRunRequest } from '@moraine/contract';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { splitStoredFile } from '../library/split-stored-file.js';

type Request = z.output<typeof CreateRunRequest>;

/**
 * A request whose `validation_split` is carried out: it names the two files that its training file was divided into.
 * @throws AppError `invalid_value` beside a validation file, and as `splitStoredFile`.
 */
export async function withSplit(
  s: Services,
  actor: Actor,
  { validation_split: size, ...request }: Request,
): Promise<{ request: Request; note: string | null }> {
  if (size === undefined || size === null) return { request, note: null };
  if (request.validation_file) {
    throw new AppError(
      'invalid_value',
      'validation_file and validation_split both say which rows are for validation.',
      {
        param: 'validation_split',
        hint: 'Leave one of them out.',
      },
    );
  }
  const asked = { validation: size };
  const { train, validation } = await splitStoredFile(s, actor, request.training_file, asked, 'training_file');
  if (validation === null) throw new AppError('internal', `A validation_split of ${size} made no validation file.`);
  return {
    request: { ...request, training_file: train.file.id, validation_file: validation.file.id },
    note: `${validation.rows} of the ${train.rows + validation.rows} rows of ${request.training_file} are for validation, ${validation.file.id}; ${train.rows} are trained on, ${train.file.id}.`,
  };
}
