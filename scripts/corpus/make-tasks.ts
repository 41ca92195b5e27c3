/**
 * `npx tsx scripts/corpus/make-tasks.ts [--seed N] [--out folder] [--reserved]`: writes the example task's files.
 * The reserved seed is refused without `--reserved`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DEVELOPMENT_SEED, generateTask, RESERVED_SEED } from './tasks.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(DEVELOPMENT_SEED) },
    out: { type: 'string', default: 'examples/tasks' },
    reserved: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
if (!Number.isSafeInteger(seed) || seed < 0) {
  throw new Error(`--seed takes a whole number from 0 on, not ${values.seed}.`);
}
if (seed === RESERVED_SEED && !values.reserved) {
  throw new Error(
    `Seed ${RESERVED_SEED} is kept for a final check and must not be used while developing: choose another, or say --reserved.`,
  );
}

const directory = resolve(values.out);
await mkdir(directory, { recursive: true });
const task = generateTask(seed);
const files = {
  'record-train.jsonl': task.train,
  'record-validation.jsonl': task.validation,
  'record-heldout.jsonl': task.heldout,
  'record-newnames.jsonl': task.newNames,
  'closed-book.jsonl': task.closedBook,
  'source.jsonl': task.source,
};
for (const [name, rows] of Object.entries(files)) {
  await writeFile(join(directory, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  process.stdout.write(`${name}: ${rows.length} rows\n`);
}
