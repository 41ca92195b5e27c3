import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type Canary, CanaryFile, type CanaryKind, drawCanaries, ownCanaries } from '@moraine/contract/analyses';
import { makeFolder } from '@moraine/contract/make-folder';
import { createRandom } from '@moraine/contract/random';
import { type Row, readRows } from '@moraine/data';
import { canaryRow, pairOf } from './canary-rows.js';

export interface PlantOptions {
  /** Rows to train on. */
  file: string;
  kind: CanaryKind;
  /** Canaries to draw; of kind own, all rows of `ownFile` are. */
  count: number;
  /** Canaries that are drawn too and kept out of the rows. */
  controls: number;
  /** How often each is written. */
  repeat: number;
  seed: number;
  /** Rows that are the canaries, of kind own; else null. */
  ownFile: string | null;
  /** A folder that gets `rows.jsonl` and `canaries.json`. */
  out: string;
}

export interface Planted {
  rows: string;
  canaries: string;
  /** Rows before, and written with the canaries among them. */
  before: number;
  after: number;
}

const PLACES_STREAM = 4;

/**
 * Writes rows with canaries at random places among them, other rows as they are written, and a file that says what they are.
 * @throws AppError `conflict` where the files are there, `invalid_file` for a bad row or an own row without one question and one answer
 */
export async function plantCanaries(options: PlantOptions): Promise<Planted> {
  const { file, kind, repeat, seed, out } = options;
  const [rows, canaries] = ['rows.jsonl', 'canaries.json'].map((name) => join(out, name)) as [string, string];
  const present = [rows, canaries].find((path) => existsSync(path));
  if (present !== undefined)
    throw new AppError('conflict', `${present} is there already.`, { hint: 'Name another folder with --out.' });
  const { count: before, row_format } = await surveyOf(file);
  const drawn = await drawOf(options);
  const described = CanaryFile.parse({
    ...{ format: 'moraine-canaries', format_version: 1 },
    ...{ kind, seed, repeat, row_format },
    ...drawn,
  });
  makeFolder(out);
  const after = before + drawn.planted.length * repeat;
  await writeRows(rows, file, placesOf(described, before));
  writeFileSync(canaries, `${JSON.stringify(described, null, 1)}\n`);
  return { rows, canaries, before, after };
}

async function surveyOf(file: string): Promise<{ count: number; row_format: Row['format'] }> {
  let count = 0;
  let first: Row | undefined;
  for await (const { row } of readRows(file)) {
    first ??= row;
    count++;
  }
  if (first !== undefined) return { count, row_format: first.format };
  throw new AppError('invalid_file', `${file} holds no row.`, { hint: 'Plant canaries among rows to train on.' });
}

async function drawOf({ kind, ownFile, ...numbers }: PlantOptions): Promise<Pick<CanaryFile, 'planted' | 'controls'>> {
  if (kind !== 'own') return drawCanaries(kind, numbers);
  const pairs: { prompt: string; value: string }[] = [];
  for await (const { line, row } of readRows(ownFile ?? '')) {
    const pair = pairOf(row);
    if (pair === null)
      throw new AppError('invalid_file', `Line ${line} has no single question and answer.`, {
        param: `line ${line}`,
        hint: 'Own canaries are rows of prompt and completion, or of one user and one assistant message.',
      });
    pairs.push(pair);
  }
  if (pairs.length > 0) return ownCanaries(pairs, numbers);
  throw new AppError('invalid_file', `${ownFile} holds no row.`, { hint: 'Name a file with the canaries.' });
}

/** The lines of canaries by the row that they are written before. */
function placesOf(described: CanaryFile, rows: number): Map<number, string[]> {
  const random = createRandom(described.seed, PLACES_STREAM);
  const places = new Map<number, string[]>();
  const lines = described.planted.flatMap((canary: Canary) =>
    Array.from({ length: described.repeat }, () => lineOf(canaryRow(described, canary, canary.value))),
  );
  for (const line of random.shuffle(lines)) {
    const at = random.int(0, rows);
    places.set(at, [...(places.get(at) ?? []), line]);
  }
  return places;
}

const lineOf = ({ format: _format, ...row }: Row): string => JSON.stringify(row);

async function writeRows(to: string, from: string, places: ReadonlyMap<number, string[]>): Promise<void> {
  const temporary = `${to}.part`;
  const out = await open(temporary, 'w');
  try {
    let at = 0;
    const writeHere = async (): Promise<void> => {
      for (const line of places.get(at) ?? []) await out.write(`${line}\n`);
    };
    for await (const { bytes } of readRows(from)) {
      await writeHere();
      await out.write(Buffer.concat([bytes, LINE_END]));
      at++;
    }
    await writeHere();
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw cause;
  } finally {
    await out.close();
  }
  renameSync(temporary, to);
}

const LINE_END = Buffer.from('\n');
