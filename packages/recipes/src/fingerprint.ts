import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { RunConfig, TrainSpec } from '@moraine/contract';

/** What must be equal for a resume to repeat the uninterrupted run, beside `hashBase` and the mode. */
export interface Fingerprint {
  /** Hash of all of it. */
  print: string;
  parts: DecidingParts;
}

export interface DecidingParts {
  config: Partial<RunConfig>;
  /** sha256 of each file that decides, by what it is called in sentences. */
  files: Record<string, string>;
}

/** What a validation loss is of. It decides nothing unless the run may end early. */
export const VALIDATION = 'validation file';

/**
 * What decides the numbers of a run: its configuration, the training files, config.json and tokenizer.json of the base; where it may end early
 * also when it validates, and on which file.
 */
export async function fingerprint(
  spec: Pick<TrainSpec, 'config' | 'trainingFile' | 'mixFiles' | 'validationFile' | 'baseDir'>,
): Promise<Fingerprint> {
  const all = createHash('sha256');
  // Micro-batches only move rounding, and a run whose memory ran out goes on with more of them.
  // The mode is compared by itself; why values were chosen decides nothing.
  const { checkpoint, evaluation, accumulation, mode, verify_resume, chosen, data_mix: mix, ...rest } = spec.config;
  // Files are compared by what they hold, so ids and places of a mix may change.
  const config = mix ? { ...rest, data_mix: mix.map((file) => ({ ...file, file_id: '' })) } : rest;
  all.update(JSON.stringify(config));
  const files: Record<string, string> = {};
  for (const [name, path] of [
    ['training file', spec.trainingFile] as const,
    ...(spec.mixFiles ?? []).map(({ path }, i) => [`file ${i + 2} of data_mix`, path] as const),
    ['config.json of the base', join(spec.baseDir, 'config.json')] as const,
    ['tokenizer.json of the base', join(spec.baseDir, 'tokenizer.json')] as const,
  ])
    files[name] = await hashFile(path, all);
  if (spec.validationFile !== null) files[VALIDATION] = await hashFile(spec.validationFile);
  if (config.early_stopping !== undefined) all.update(`${evaluation.every_steps} ${files[VALIDATION]}`);
  return { print: all.digest('hex'), parts: { config: { ...config, evaluation }, files } };
}

/** sha256 of a file; its bytes go into another hash too, where one is given. */
export async function hashFile(path: string, also?: Hash): Promise<string> {
  const own = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    own.update(chunk as Buffer);
    also?.update(chunk as Buffer);
  }
  return own.digest('hex');
}

export interface Difference {
  /** The key of the configuration, or the name of the file. */
  param: string;
  sentence: string;
}

/** The first thing that decides and is not as it was; null where nothing is found. */
export function firstDifference(before: DecidingParts, now: DecidingParts): Difference | null {
  const own = (parts: DecidingParts) => decidingConfig(parts.config);
  const found = differingValue('', own(before), own(now));
  if (found !== null) return found;
  const names = new Set([...Object.keys(before.files), ...Object.keys(now.files)]);
  if (now.config.early_stopping === undefined) names.delete(VALIDATION);
  const changed = [...names].find((name) => before.files[name] !== now.files[name]);
  return changed === undefined ? null : { param: changed, sentence: `the ${changed} changed` };
}

const decidingConfig = ({ evaluation, ...config }: Partial<RunConfig>) =>
  config.early_stopping === undefined ? config : { ...config, evaluation: { every_steps: evaluation?.every_steps } };

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function differingValue(param: string, before: unknown, now: unknown): Difference | null {
  if (Array.isArray(before) && Array.isArray(now) && before.length !== now.length)
    return { param, sentence: `'${param}' had ${before.length} entries and has ${now.length}` };
  if (!isObject(before) || !isObject(now)) {
    if (before === now) return null;
    return { param, sentence: `'${param}' was ${inWords(before)} and is ${inWords(now)}` };
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const found = differingValue(param === '' ? key : `${param}.${key}`, before[key], now[key]);
    if (found !== null) return found;
  }
  return null;
}

const inWords = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
