import { AppError, CreateEvaluationRequest, parse } from '@moraine/contract';
import { PLAIN_SUITE, type Suite } from '@moraine/contract/suites';
import { requireSuite } from '@moraine/data';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { waitForFile, waitForValidation } from '../library/wait-for-file.js';
import { type Evaluated, findEvaluated } from './find-evaluated.js';

type Request = z.output<typeof CreateEvaluationRequest>;

/** A request whose names are all resolved. */
export interface PreparedEvaluation extends Evaluated {
  request: Request;
  /** Ids of the files that it reads. */
  files: string[];
}

/** @throws AppError for everything that can be wrong with a request without reading its rows. */
export async function prepareEvaluation(s: Services, actor: Actor, body: unknown): Promise<PreparedEvaluation> {
  const request = parse(CreateEvaluationRequest, body);
  const suite = requireSuite(request.suite);
  refuseContradictions(request, suite);
  const evaluated = await findEvaluated(s, actor, request.model);
  if (evaluated.tuned === null && request.lambda !== undefined)
    throw refuse('lambda', `'lambda' is a share of an update, and '${request.model}' is a base.`, 'Leave it out.');
  await readable(s, actor, request.file, 'file', suite);
  if (request.examples) await readable(s, actor, request.examples, 'examples', suite);
  return { ...evaluated, request, files: request.examples ? [request.file, request.examples] : [request.file] };
}

const refuse = (param: string, message: string, hint: string): AppError =>
  new AppError('invalid_value', message, { param, hint });

/** Settings that would be without effect. */
function refuseContradictions({ seed, limit, fewshot, examples, file }: Request, suite: Suite): void {
  if (seed != null && limit == null)
    throw refuse('seed', "'seed' draws items under a limit, and 'limit' names none.", "Add 'limit', or leave it out.");
  const shown = fewshot ?? suite.fewshot;
  if (examples && shown === 0)
    throw refuse('examples', "'examples' names a file, and no example is shown.", "Set 'fewshot', or leave it out.");
  if (examples === file)
    throw refuse(
      'examples',
      "'examples' is the file that is asked.",
      'Leave it out: its first rows are examples then.',
    );
  if (shown > 0 && suite.evaluator === 'loss')
    throw refuse('fewshot', `Rows of the suite '${suite.name}' cannot be examples.`, "Set 'fewshot' to 0.");
}

/** Rows of a suite of its own are read by the worker alone; plain rows were validated where they came to be trained on. */
async function readable(s: Services, actor: Actor, id: string, param: string, { name }: Suite): Promise<void> {
  const file = await waitForValidation(s, actor, id, param);
  if (name === PLAIN_SUITE && file.purpose === 'fine-tune') await waitForFile(s, actor, id, param);
}
