import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** The folder of real development data beside the checkout, or null; a test that wants it says when it is absent. */
export function sharedData(): string | null {
  const folder = resolve(import.meta.dirname, '../../../../shared/data');
  if (existsSync(folder)) return folder;
  process.stdout.write(`absent: ${folder}; nothing compared with real tokenizers\n`);
  return null;
}
