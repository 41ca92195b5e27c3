import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError, SPLIT_SEED } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';

/** Rows of each kind, as files, and where the rest of a tuning is kept. */
export interface TuneRows {
  /** Made of what the file says: the same file has the same folder, whenever it is tuned. */
  folder: string;
  train: string;
  validation: string;
  test: string;
  /** Distinct rows to train on. */
  rows: number;
}

/** Rows to choose by and to judge by: a tenth each, so many at least and at most. */
const SHARE = 0.1;
const [LEAST, MOST] = [8, 500];
/** Fewer leave too little to learn from. */
const ROWS_LEAST = 3 * LEAST;
/** Of the division; there once all of it is. */
const COUNTS = 'counts.json';

/**
 * Checks the rows of a file, brings those of other tools into our form, and divides them: for training, for choosing and for judging. Equal rows go to the
 * same file. Done once; a second call finds what the first one made.
 * @throws AppError `invalid_file` naming the row; `invalid_request` for too few rows.
 */
export async function prepareRows(file: string, dataDir: string, label: string): Promise<TuneRows> {
  const { convertFile, refuseNoFile, splitFile } = await import('@moraine/recipes');
  refuseNoFile(file);
  const folder = path.join(dataDir, 'tune', `${label}-${(await hashOf(file)).slice(0, 12)}`);
  const at = (name: string): string => path.join(folder, `${name}.jsonl`);
  const made = { folder, train: at('train'), validation: at('validation'), test: at('test') };
  const counted = path.join(folder, COUNTS);
  if (existsSync(counted)) return { ...made, ...(JSON.parse(readFileSync(counted, 'utf8')) as { rows: number }) };
  const draft = `${folder}.part`;
  rmSync(draft, { recursive: true, force: true });
  makeFolder(draft);
  try {
    const all = path.join(draft, 'rows.jsonl');
    const { rows, duplicates } = await convertFile(file, all);
    const distinct = rows - duplicates.rows;
    if (distinct < ROWS_LEAST)
      throw new AppError('invalid_request', `${file} has ${distinct} distinct rows; tuning needs ${ROWS_LEAST}.`, {
        hint: 'Some are kept apart to choose and to judge by. Bring more rows.',
      });
    const size = Math.min(MOST, Math.max(LEAST, Math.round(SHARE * distinct)));
    const into = (name: string): string => path.join(draft, `${name}.jsonl`);
    const parts = ['validation', 'test'].map((name) => ({ file: into(name), size }));
    const report = await splitFile(all, parts, into('train'), SPLIT_SEED);
    const counts = { rows: report.parts.at(-1)?.distinct ?? 0 };
    writeFileSync(path.join(draft, COUNTS), `${JSON.stringify(counts)}\n`);
    renameSync(draft, folder);
    return { ...made, ...counts };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
