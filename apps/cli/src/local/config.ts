import { AppError, CreateRunRequest, parse } from '@moraine/contract';
import type { RunRequest } from '@moraine/contract/plan';
import type { z } from 'zod';
import type { Arguments } from '../args.js';
import { readJson, withOptions } from '../request-options.js';

/** Keys of a request that say what the service does with a run. A run of one's own has no use for them. */
const IGNORED = ['suffix', 'metadata', 'integrations', 'priority', 'pool', 'max_attempts'] as const;
/** Keys that name what lies in the service; here options name files. */
const NAMED_BY_OPTIONS = { model: 'base', training_file: 'data', validation_file: 'valid' } as const;

/** A request without the keys that only a service has a use for: the same names, values and defaults. */
export const LocalRequest = CreateRunRequest.omit({
  model: true,
  training_file: true,
  validation_file: true,
  suffix: true,
  metadata: true,
  integrations: true,
  priority: true,
  pool: true,
  max_attempts: true,
});

export interface LocalConfig {
  request: RunRequest & z.output<typeof LocalRequest>;
  /** What was written, options included. */
  body: Record<string, unknown>;
  /** Keys that were written and mean nothing here. */
  ignored: string[];
}

/**
 * A run's configuration from a JSON file with the names of the HTTP API; options of the command line count more.
 * @throws AppError naming the key, its value and the nearest valid one.
 */
export function readConfig(file: string | undefined, args: Arguments): LocalConfig {
  return readConfigOn(file === undefined ? {} : readJson(file), args);
}

/** The same from a body that was read already. */
export function readConfigOn(body: Record<string, unknown>, args: Arguments): LocalConfig {
  return parseConfig(withOptions(body, args));
}

/** Checks a body. @throws AppError `unknown_key`, `invalid_value`. */
export function parseConfig(body: Record<string, unknown>): LocalConfig {
  for (const [key, option] of Object.entries(NAMED_BY_OPTIONS)) {
    if (!Object.hasOwn(body, key)) continue;
    throw new AppError('invalid_value', `'${key}' names something of the service; a local run reads files.`, {
      param: key,
      hint: `Leave it out and write --${option}.`,
    });
  }
  const ignored = IGNORED.filter((key) => Object.hasOwn(body, key));
  refuseSuites(body);
  const kept = Object.fromEntries(Object.entries(body).filter(([key]) => !ignored.some((name) => name === key)));
  return { request: parse(LocalRequest, kept), body, ignored };
}

/** Evaluations by suites are tasks of a stack. */
function refuseSuites({ evaluation }: Record<string, unknown>): void {
  if (typeof evaluation !== 'object' || evaluation === null || !('suites' in evaluation)) return;
  throw new AppError('invalid_value', "'evaluation.suites' asks for evaluations by the service.", {
    param: 'evaluation.suites',
    hint: 'Leave it out, and evaluate what comes of the run: moraine local eval --suite NAME FILE --base DIR --adapter DIR.',
  });
}
