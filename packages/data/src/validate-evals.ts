import { readFile, stat } from 'node:fs/promises';
import { CanaryFile } from '@moraine/contract/analyses';
import { countItems } from './suites/read-suite.js';
import { type FileReport, PROBLEMS_MAX, validateFile } from './validate-file.js';

/** Far above what the largest file of canaries has. */
const CANARY_BYTES_MAX = 4 * 2 ** 20;

/**
 * What is wrong with a file of purpose `evals`: rows to train on are evaluated as they are; other rows are good where they are all of one suite, and so is a
 * file of canaries. Where it is none of these, what is wrong with it as rows to train on, or where only some rows are of a suite, the first that is not.
 */
export async function validateEvals(path: string, problemsMax = PROBLEMS_MAX): Promise<FileReport> {
  const plain = await validateFile(path, problemsMax);
  if (plain.errors.length === 0) return plain;
  const good = (rows: number): FileReport => ({ ...plain, rows, format: null, errors: [], isPartial: false });
  if (await isCanaries(path)) return good(0);
  const items = await countItems(path);
  if (typeof items === 'number') return good(items);
  if (items === null || plain.rows > 0) return plain;
  const { message, hint } = items;
  const [line] = /\d+/.exec(message) ?? [];
  const problem = { line: Number(line ?? 1), key: '', code: 'invalid_value' as const, message, hint: hint ?? '' };
  return { ...plain, errors: [problem], isPartial: false };
}

async function isCanaries(path: string): Promise<boolean> {
  if ((await stat(path)).size > CANARY_BYTES_MAX) return false;
  try {
    return CanaryFile.safeParse(JSON.parse(await readFile(path, 'utf8'))).success;
  } catch {
    return false;
  }
}
