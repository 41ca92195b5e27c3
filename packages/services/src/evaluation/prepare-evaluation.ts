import { AppError, CreateEvaluationRequest, parse } from '@moraine/contract';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { checkSuite } from '../training/check-suite.js';
import { findSubject, type Subject } from '../training/find-subject.js';

/** A request whose names are all resolved. */
export interface PreparedEvaluation extends Subject {
  request: z.output<typeof CreateEvaluationRequest>;
  /** Ids of the files that it reads. */
  files: string[];
}

/** @throws AppError for everything that can be wrong with a request without reading its rows. */
export async function prepareEvaluation(s: Services, actor: Actor, body: unknown): Promise<PreparedEvaluation> {
  const request = parse(CreateEvaluationRequest, body);
  const files = await checkSuite(s, actor, request);
  const subject = await findSubject(s, actor, request.model);
  if (subject.tuned === null && request.lambda !== undefined)
    throw new AppError('invalid_value', `'lambda' is a share of an update, and '${request.model}' is a base.`, {
      param: 'lambda',
      hint: 'Leave it out.',
    });
  return { ...subject, request, files };
}
