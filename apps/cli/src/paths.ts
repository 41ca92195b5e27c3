import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataDir } from './env.js';

/** The folder of the repository: this file is in apps/cli/dist (or src). */
export const repoDir = fileURLToPath(new URL('../../..', import.meta.url)).replace(/[/\\]$/, '');

export const inRepo = (...parts: string[]): string => path.join(repoDir, ...parts);

/** Where the stack keeps everything: `--data`, else MORAINE_DATA, else `.data` of the repository. */
export const dataDirFor = (option: string | undefined): string => path.resolve(option ?? dataDir() ?? inRepo('.data'));

export function version(): string {
  const file: unknown = JSON.parse(readFileSync(inRepo('package.json'), 'utf8'));
  return typeof file === 'object' && file !== null && 'version' in file ? String(file.version) : '';
}
