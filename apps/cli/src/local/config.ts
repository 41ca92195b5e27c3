import { existsSync, readFileSync } from 'node:fs';
import { AppError, CreateRunRequest, methodRow, parse, requestOf } from '@moraine/contract';
import type { RunRequest } from '@moraine/contract/plan';
import type { z } from 'zod';
import { type Arguments, integer, number, text } from '../args.js';

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
  const kept = Object.fromEntries(Object.entries(body).filter(([key]) => !ignored.some((name) => name === key)));
  return { request: parse(LocalRequest, kept), body, ignored };
}

export function readJson(file: string): Record<string, unknown> {
  if (!existsSync(file)) {
    throw new AppError('not_found', `There is no file ${file}.`, { hint: 'Name a JSON file; configs/ has examples.' });
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_value', `${file} is not JSON: ${why}.`, { hint: 'Correct it at that place.', cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new AppError('invalid_value', `${file} holds no JSON object.`, { hint: 'Write {"adapter": {…}, …}.' });
}

/** The options of the command line in the places where they stand in a request. */
function withOptions(body: Record<string, unknown>, args: Arguments): Record<string, unknown> {
  const given = { ...body };
  const put = (key: string, value: unknown): void => {
    if (value !== undefined) given[key] = value;
  };
  const inside = (key: string, values: Record<string, unknown>): void => {
    const set = Object.entries(values).filter(([, value]) => value !== undefined);
    if (set.length > 0) given[key] = { ...(given[key] as object | undefined), ...Object.fromEntries(set) };
  };
  const method = text(args, 'method');
  // Another method has no use for what the file says about its own.
  if (method !== undefined) given.adapter = { ...sharedKeys(given.adapter, method), ...requestOf(method) };
  inside('adapter', { rank: integer(args, 'rank', 1, 1024) });
  inside('optimizer', { learning_rate: number(args, 'lr', 0, 10) });
  put('max_steps', integer(args, 'steps', 1, 10_000_000));
  put('batch_size', integer(args, 'batch-size', 1, 4096));
  put('max_seq_len', integer(args, 'seq', 2, 2 ** 24));
  put('seed', integer(args, 'seed', 0, 2 ** 31 - 1));
  put('mode', text(args, 'mode'));
  return given;
}

/** What a file says about its adapter, as far as the method of `--method` has the key too. */
function sharedKeys(adapter: unknown, word: string): Record<string, unknown> {
  if (typeof adapter !== 'object' || adapter === null) return {};
  const wanted = methodRow(requestOf(word));
  const written = adapter as Record<string, unknown>;
  if (written.type === wanted.type) return written;
  return Object.fromEntries(Object.entries(written).filter(([key]) => wanted.shared.some((shared) => shared === key)));
}
