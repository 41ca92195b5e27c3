/** `npx tsx scripts/corpus/make-corpus.ts [folder]`: writes the corpus cache and prints what is in it. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ensureCorpus } from './corpus.js';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const directory = await ensureCorpus(resolve(process.argv[2] ?? '.data/corpus'), say);
const report: unknown = JSON.parse(await readFile(join(directory, 'corpus.json'), 'utf8'));
say(JSON.stringify(report, (key, value: unknown) => (key === 'tokenCounts' ? undefined : value), 1));
