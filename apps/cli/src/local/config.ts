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
  validation_split: true,
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
  if (Object.hasOwn(body, 'validation_split')) {
    throw new AppError(
      'invalid_value',
      "'validation_split' divides a file of the service; a local run reads both parts.",
      {
        param: 'validation_split',
        hint: 'Leave it out, and divide the file: moraine local split FILE --out DIR. Then write --data and --valid.',
      },
    );
  }
  const ignored = IGNORED.filter((key) => Object.hasOwn(body, key));
  refuseTasks(body);
  const kept = Object.fromEntries(Object.entries(body).filter(([key]) => !ignored.some((name) => name === key)));
  return { request: parse(LocalRequest, kept), body, ignored };
}

/** What a local run cannot ask for, as it is a task of a stack, and the command that does it on what came of the run. */
const TASKS = [
  ['suites', 'moraine local eval --suite NAME FILE --base DIR --adapter DIR'],
  ['analyses', 'moraine local lab --base DIR --adapter DIR, or moraine local canaries measure'],
] as const;

function refuseTasks({ evaluation }: Record<string, unknown>): void {
  if (typeof evaluation !== 'object' || evaluation === null) return;
  for (const [key, command] of TASKS)
    if (Object.hasOwn(evaluation, key))
      throw new AppError(
        'invalid_value',
        `'evaluation.${key}' asks for ${key === 'suites' ? 'evaluations' : key} by the service.`,
        {
          param: `evaluation.${key}`,
          hint: `Leave it out, and look at what comes of the run: ${command}.`,
        },
      );
}
