import { AnalysisAsk, AppError, CreateAnalysisRequest, parse } from '@moraine/contract';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { checkCanaries } from '../training/check-canaries.js';
import { findSubject, type Subject } from '../training/find-subject.js';

/** A request whose names are all resolved. */
export interface PreparedAnalysis extends Subject {
  request: z.output<typeof CreateAnalysisRequest>;
  ask: AnalysisAsk;
}

/** @throws AppError for everything that can be wrong with a request without opening the model. */
export async function prepareAnalysis(s: Services, actor: Actor, body: unknown): Promise<PreparedAnalysis> {
  const request = parse(CreateAnalysisRequest, body);
  const subject = await findSubject(s, actor, request.model);
  if (subject.tuned === null) refuseBase(request);
  if (request.kind === 'canaries') await checkCanaries(s, actor, request.file);
  return { ...subject, request, ask: AnalysisAsk.parse(request) };
}

function refuseBase({ kind, model, lambda }: PreparedAnalysis['request']): void {
  if (kind === 'weights')
    throw new AppError('invalid_value', `'${model}' is a base: nothing has changed its weights.`, {
      param: 'model',
      hint: 'Name an adapter, the result of a run (`ft:…`) or one of its checkpoints.',
    });
  if (lambda !== undefined)
    throw new AppError('invalid_value', `'lambda' is a share of an update, and '${model}' is a base.`, {
      param: 'lambda',
      hint: 'Leave it out.',
    });
}
