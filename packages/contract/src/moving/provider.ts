import { AppError } from '../errors.js';
import type { Json, Ledger } from './ledger.js';

/** What a job says, in the words of a request here. */
export interface ReadJob {
  id: string | undefined;
  /** The key that names its model, those of its files, and the one of its longest row, as its line calls it. */
  keys: { model: string; training: string; validation: string; tokens?: string };
  /** Keys of a request without model and files; those that are undefined say nothing. */
  request: Json;
}

/** A service whose saved jobs are read. */
export interface Provider {
  name: string;
  isFrom(job: Json): boolean;
  /** @throws AppError `unsupported_method` for a job that is no supervised fine-tuning. */
  read(ledger: Ledger, job: Json): ReadJob;
}

export const notSupervised = (what: string): AppError =>
  new AppError('unsupported_method', `This job is ${what}; Moraine trains supervised.`, {
    hint: 'Its rows are of another kind too. Import a supervised job, or start one from rows with answers: npx moraine runs create.',
  });

export const METRICS_ELSEWHERE =
  'Moraine sends metrics to no other service; `npx moraine runs metrics` and the page of the run have them';

export const idIn = (job: Json, key = 'id'): string | undefined =>
  typeof job[key] === 'string' ? job[key] : undefined;
