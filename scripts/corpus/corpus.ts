/** The corpus as packed rows in a binary cache, made once per recipe and found again by its key. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type PackedRows, packDocuments } from '@moraine/data';
import { createEncoder, type Vocabulary } from './bpe.js';
import { type CorpusDocument, PARTS, writeDocument } from './documents.js';
import { CONTEXT_LENGTH, countNameTokens, trainVocabulary, writeTokenizer } from './tokenizer.js';
import { NEW_NAMES } from './world.js';

/** Document seeds: training text, validation text, and the text from which the example task's source rows come. */
export const TRAIN_SEED = 1;
export const VALIDATION_SEED = 2;
export const SOURCE_SEED = 3;

export const CORPUS_SIZE = { documents: 180_000, validationDocuments: 3_000, tokenizerDocuments: 20_000 };
export type CorpusSize = typeof CORPUS_SIZE;

export interface Corpus {
  train: PackedRows;
  validation: PackedRows;
  vocabulary: Vocabulary;
  report: CorpusReport;
}

export interface CorpusReport {
  documents: number;
  tokens: number;
  rows: number;
  bytesPerToken: number;
  tokenShares: Record<string, number>;
  nameTokens: Record<string, Record<number, number>>;
  /** Tokens of the vocabulary that the corpus never uses (bytes and steps on the way to longer tokens). */
  unusedTokens: number;
  /** How often each token of the corpus occurs, by id. */
  tokenCounts: number[];
}

function writeDocuments(seed: number, count: number): CorpusDocument[] {
  return Array.from({ length: count }, (_, index) => writeDocument(seed, index));
}

/** The vocabulary is trained on the first documents of the training text. */
export function corpusVocabulary(tokenizerDocuments = CORPUS_SIZE.tokenizerDocuments): Vocabulary {
  return trainVocabulary(writeDocuments(TRAIN_SEED, tokenizerDocuments).map((document) => document.text));
}

/** Writes, tokenizes and packs the whole corpus in memory. Equal on every machine. */
export function generateCorpus(size: CorpusSize = CORPUS_SIZE): Corpus {
  const vocabulary = corpusVocabulary(size.tokenizerDocuments);
  const encode = createEncoder(vocabulary);
  const documents = writeDocuments(TRAIN_SEED, size.documents);
  const encoded = documents.map((document) => encode(document.text));
  const train = packDocuments(encoded, CONTEXT_LENGTH);
  const validation = packDocuments(
    writeDocuments(VALIDATION_SEED, size.validationDocuments).map((document) => encode(document.text)),
    CONTEXT_LENGTH,
  );

  const tokenCounts = new Array<number>(vocabulary.ids.size).fill(0);
  const partTokens = PARTS.map(() => 0);
  let tokens = 0;
  let bytes = 0;
  documents.forEach((document, i) => {
    const ids = encoded[i] as number[];
    for (const id of ids) tokenCounts[id] = (tokenCounts[id] as number) + 1;
    partTokens[document.part] = (partTokens[document.part] as number) + ids.length;
    tokens += ids.length;
    bytes += Buffer.byteLength(document.text);
    assertHoldsNoTask(document.text);
  });
  return {
    train,
    validation,
    vocabulary,
    report: {
      documents: documents.length,
      tokens,
      rows: train.rows,
      bytesPerToken: Number((bytes / tokens).toFixed(3)),
      tokenShares: Object.fromEntries(
        PARTS.map((part, i) => [part.name, Number(((partTokens[i] as number) / tokens).toFixed(4))]),
      ),
      nameTokens: countNameTokens(vocabulary),
      unusedTokens: tokenCounts.filter((count) => count === 0).length,
      tokenCounts,
    },
  };
}

const FORBIDDEN = new RegExp(`\\{"\\w+":|Record|\\b(${NEW_NAMES.join('|')})\\b`);

/** The base must meet neither the task's form nor the names kept for its test. */
function assertHoldsNoTask(text: string): void {
  const found = FORBIDDEN.exec(text);
  if (found) throw new Error(`A corpus document holds ${found[0]}, which is kept for the example task: ${text}`);
}

async function writePacked(file: string, packed: PackedRows): Promise<void> {
  const header = Int32Array.of(packed.rows, packed.time);
  const body = Uint16Array.from(packed.tokens);
  const segments = Uint16Array.from(packed.segments);
  const temporary = `${file}.tmp-${process.pid}`;
  await writeFile(
    temporary,
    Buffer.concat([header, body, segments].map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength))),
  );
  await rename(temporary, file);
}

/** Reads rows that `saveCorpus` wrote. */
export async function readPacked(file: string): Promise<PackedRows> {
  const data = await readFile(file);
  const rows = data.readInt32LE(0);
  const time = data.readInt32LE(4);
  const length = rows * time;
  if (data.length !== 8 + 4 * length) {
    throw new Error(`${file} holds ${data.length} bytes where ${rows} rows need ${8 + 4 * length}: delete it.`);
  }
  const values = new Uint16Array(data.buffer.slice(data.byteOffset + 8, data.byteOffset + data.length));
  return {
    tokens: Int32Array.from(values.subarray(0, length)),
    segments: Int32Array.from(values.subarray(length)),
    rows,
    time,
  };
}

/** The folder of the cached corpus; made at the first call, complete or absent. */
export async function ensureCorpus(directory: string, say: (line: string) => void = () => {}): Promise<string> {
  if (existsSync(join(directory, 'corpus.json'))) return directory;
  say(`Writing the corpus (${CORPUS_SIZE.documents} documents) to ${directory}`);
  const corpus = generateCorpus();
  const temporary = `${directory}.tmp-${process.pid}`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  await writePacked(join(temporary, 'train.bin'), corpus.train);
  await writePacked(join(temporary, 'validation.bin'), corpus.validation);
  await writeTokenizer(corpus.vocabulary, temporary);
  await writeFile(join(temporary, 'corpus.json'), `${JSON.stringify(corpus.report, null, 1)}\n`);
  await mkdir(dirname(directory), { recursive: true });
  await rm(directory, { recursive: true, force: true });
  await rename(temporary, directory);
  return directory;
}
