import { AppError } from '@moraine/contract';
import { PLAIN_SUITE, resolveSampling, type SamplingRequest, type Suite } from '@moraine/contract/suites';
import { requireSuite } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import { waitForFile, waitForValidation } from '../library/wait-for-file.js';

/** Which items are asked, as a request says it. */
export interface AskedSuite {
  suite: string;
  file: string;
  examples?: string | null | undefined;
  fewshot?: number | null | undefined;
  limit?: number | null | undefined;
  seed?: number | null | undefined;
  sampling?: SamplingRequest | null | undefined;
}

/**
 * Checks what can be wrong with the items that are asked without reading them. `at` stands before the names of keys.
 * @returns ids of the files that are read
 * @throws AppError naming the key.
 */
export async function checkSuite(s: Services, actor: Actor, asked: AskedSuite, at = ''): Promise<string[]> {
  const suite = suiteOf(asked, at);
  refuseContradictions(asked, suite, at);
  resolveSampling(asked.sampling, suite, at);
  await readable(s, actor, asked.file, `${at}file`, suite);
  if (!asked.examples) return [asked.file];
  await readable(s, actor, asked.examples, `${at}examples`, suite);
  return [asked.file, asked.examples];
}

function suiteOf({ suite }: AskedSuite, at: string): Suite {
  try {
    return requireSuite(suite);
  } catch (cause) {
    if (at === '' || !(cause instanceof AppError)) throw cause;
    throw new AppError(cause.code, cause.message, { param: `${at}suite`, hint: cause.hint ?? '', cause });
  }
}

/** Settings that would be without effect. */
function refuseContradictions({ seed, limit, fewshot, examples, file }: AskedSuite, suite: Suite, at: string): void {
  const refuse = (key: string, message: string, hint: string): AppError =>
    new AppError('invalid_value', message, { param: `${at}${key}`, hint });
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
