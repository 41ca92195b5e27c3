import { AppError } from '../errors.js';
import { SafetensorsError, type SafetensorsHeader, type StoredDtype, type TensorEntry } from '../safetensors.js';
import { nearest } from '../suggest.js';
import { architectureOf } from './registry.js';
import type { ModelShape } from './tensor.js';

export const WEIGHTS_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/** A tensor of a folder, of whatever type: its bytes counted from the beginning of its file. */
interface StoredTensor extends TensorEntry {
  file: string;
}

/** The types that a weight may be stored as. */
const FLOATS = ['F32', 'F16', 'BF16', 'F64'] as const;
type FloatDtype = (typeof FLOATS)[number];

/** A weight of a model: the file and the name it is stored under, which for a tied head may not be the model's. */
export interface StoredWeight extends StoredTensor {
  dtype: FloatDtype;
}

/** How a folder's files are read, by name. Each may throw for a file that cannot be read. */
export interface FolderReader {
  json: (file: string) => unknown;
  /** Bytes of a file. */
  sizeOf: (file: string) => number;
  /** @throws SafetensorsError for a header of more than `bytesMax`, before it is read. */
  header: (file: string, bytesMax: number) => SafetensorsHeader;
  /** Whether two weights hold the same bytes. Asked of an embedding and a head that config.json ties though both are stored. */
  isSame: (a: StoredWeight, b: StoredWeight) => boolean;
}

/** A folder whose weights are those that its configuration asks for. */
export interface CheckedFolder<Shape extends ModelShape> {
  /** The configuration as the weights have it: a head that differs from the embedding is not tied. */
  config: Shape;
  /** Every weight by its Hugging Face name. */
  weights: Map<string, StoredWeight>;
}

const HINT = 'A base is a complete Hugging Face folder: config.json, tokenizer.json and safetensors weights.';

/**
 * Returns the files that hold the weights of a folder with these files: the shards that the index names, else `model.safetensors`.
 * Other safetensors files are not read. `index` is the parsed index, undefined when there is none.
 * @throws AppError `invalid_base` when the folder has no such files
 */
export function weightFiles(names: readonly string[], index: unknown): string[] {
  if (index === undefined) {
    if (names.includes(WEIGHTS_FILE)) return [WEIGHTS_FILE];
    throw refused(`There is neither ${WEIGHTS_FILE} nor ${INDEX_FILE}.`, WEIGHTS_FILE);
  }
  const map = isRecord(index) ? index.weight_map : undefined;
  const shards = isRecord(map) ? [...new Set(Object.values(map))].sort() : [];
  if (shards.length === 0) throw refused(`${INDEX_FILE} has no weight_map.`, INDEX_FILE);
  return shards.map((shard) => {
    if (typeof shard !== 'string' || /[\\/]/.test(shard)) {
      throw refused(`${INDEX_FILE} names '${String(shard)}', which lies outside the folder.`, INDEX_FILE);
    }
    if (names.includes(shard)) return shard;
    throw refused(`${INDEX_FILE} names ${shard}, which is not there.`, shard, 'Send every shard that the index names.');
  });
}

/**
 * Holds the weights of a folder against its configuration; registration and training both ask here, so what is registered can be trained.
 * With a tied head one matrix is both, stored under either name. Where both are stored and differ they are not tied, as in transformers 5,
 * whatever config.json says. Buffers that follow from the configuration are left out.
 * @throws AppError `invalid_base` naming the file or the tensor
 */
export function checkFolder<Shape extends ModelShape>(
  names: readonly string[],
  config: Shape,
  read: FolderReader,
): CheckedFolder<Shape> {
  const files = weightFiles(names, names.includes(INDEX_FILE) ? read.json(INDEX_FILE) : undefined);
  const { embedding, head, tensors } = architectureOf(config);
  const expected = new Map(tensors(config).map(({ name, shape }) => [name, shape]));
  refuseSizes(files, read, expected, config);
  const headerBytes = headerBytesFor(expected.size);
  const found = new Map<string, StoredTensor>();
  for (const tensor of files.flatMap((file) => storedIn(file, read, headerBytes))) {
    const { name } = tensor;
    if (found.has(name)) throw refused(`Two files have the tensor ${name}.`, name, 'Keep each shard once.');
    found.set(name, tensor);
  }
  const optional = config.tieEmbeddings && found.has(head);
  if (optional) expected.set(head, [config.vocabSize, config.hiddenSize]);
  const weights = new Map([...found].map(([name, tensor]) => [name, toWeight(tensor, expected)]));
  const stored = { embedding: weights.get(embedding), head: weights.get(head) };
  const isUntied = optional && stored.embedding && stored.head && !read.isSame(stored.embedding, stored.head);
  if (optional && !isUntied) {
    expected.delete(head);
    weights.delete(head);
    if (!stored.embedding && stored.head) weights.set(embedding, stored.head);
  }
  refuseMissing([...expected.keys()].filter((name) => !weights.has(name)));
  return { config: isUntied ? { ...config, tieEmbeddings: false } : config, weights };
}

/** The longest header of a file that holds so many tensors: a name, a type, a shape and two places each, and what its writer says beside. */
export const headerBytesFor = (tensors: number): number => 2 ** 20 + 1_024 * tensors;

/** What the files may hold beside the weights, or lack of them, before their sizes alone say that they are of another model. */
const SLACK_BYTES = 2 ** 20;

/** Files far too small or too large for config.json are refused before anything in them is read. */
function refuseSizes(
  files: readonly string[],
  read: FolderReader,
  expected: ReadonlyMap<string, readonly number[]>,
  { vocabSize, hiddenSize }: ModelShape,
): void {
  const bytes = files.reduce((sum, file) => sum + read.sizeOf(file), 0);
  const counts = [...expected.values()].map((shape) => shape.reduce((a, b) => a * b, 1));
  const numbers = counts.reduce((a, b) => a + b, 0);
  // The smallest type has four bits a number: a weight of it is refused by its type.
  const [least, most] = [
    numbers / 2,
    16 * (numbers + vocabSize * hiddenSize) + files.length * headerBytesFor(counts.length),
  ];
  if (bytes >= least - SLACK_BYTES && bytes <= most + SLACK_BYTES) return;
  throw refused(
    `config.json describes a model of ${numbers} numbers, 2 to 8 bytes each, but its weights have ${bytes} bytes in ${files.length} files.`,
    files[0] ?? WEIGHTS_FILE,
    'config.json and the weights belong to different models, or files are missing or cut short.',
  );
}

function storedIn(file: string, read: FolderReader, headerBytes: number): StoredTensor[] {
  try {
    const { entries, dataStart } = read.header(file, headerBytes);
    return entries
      .filter(({ name }) => !name.endsWith('.rotary_emb.inv_freq'))
      .map((entry) => ({ ...entry, file, begin: dataStart + entry.begin, end: dataStart + entry.end }));
  } catch (cause) {
    if (!(cause instanceof SafetensorsError)) throw cause;
    throw refused(
      `${file} is not a valid safetensors file: ${cause.message}.`,
      file,
      'Fetch or export the file again; if it was copied, compare its size and sha256 with the original.',
      cause,
    );
  }
}

function toWeight(tensor: StoredTensor, expected: ReadonlyMap<string, number[]>): StoredWeight {
  const { name, dtype, shape } = tensor;
  const wanted = expected.get(name);
  if (!wanted) {
    const near = nearest(name, [...expected.keys()]);
    throw refused(
      `The tensor ${name} [${shape.join(', ')}] is not part of the model that config.json describes.`,
      name,
      near ? `The nearest one is ${near}.` : undefined,
    );
  }
  if (wanted.join() !== shape.join()) {
    throw refused(
      `${name} is [${shape.join(', ')}], but config.json makes it [${wanted.join(', ')}].`,
      name,
      'config.json and the weights belong to different models, or one of them was edited.',
    );
  }
  if (!isFloat(dtype))
    throw refused(
      `${name} is stored as ${dtype}, which is none of ${FLOATS.join(', ')}.`,
      name,
      'Take the model with weights that are not quantised, or convert them to one of these types.',
    );
  return { ...tensor, dtype };
}

const isFloat = (dtype: StoredDtype): dtype is FloatDtype => (FLOATS as readonly string[]).includes(dtype);

function refuseMissing(missing: readonly string[]): void {
  const [first] = missing;
  if (first === undefined) return;
  const others = missing.length > 1 ? ` and ${missing.length - 1} other tensors` : '';
  throw refused(
    `${first}${others} of the model that config.json describes: missing in the weights.`,
    first,
    `Send every shard that ${INDEX_FILE} names.`,
  );
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);

const refused = (message: string, param: string, hint = HINT, cause?: unknown): AppError =>
  new AppError('invalid_base', message, { param, hint, cause });
