import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError, explain } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { parse as parseYaml } from 'yaml';
import type { Arguments } from './args.js';
import { fileId } from './file-id.js';

type Tree = Record<string, unknown>;
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a YAML or JSON file as one object. @throws AppError `not_found`, `invalid_value` with the line. */
export function readTree(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const hint = 'Name a YAML or JSON file; configs/experiments has some.';
    throw new AppError('not_found', `${path.resolve(file)} cannot be read: ${explain(cause)}`, { hint, cause });
  }
  let value: unknown;
  try {
    // Every JSON document is YAML.
    value = parseYaml(text);
  } catch (cause) {
    throw new AppError('invalid_value', `${file} is not YAML: ${explain(cause).trim()}`, {
      hint: 'Correct it and run it again.',
      cause,
    });
  }
  if (isTree(value)) return value;
  throw new AppError('invalid_value', `${file} holds no keys.`, { hint: 'Write `name: …`, `model: …` and so on.' });
}

/** The keys of an experiment that name files of rows: `training_file`, `file_id` of a mix, and those of `evaluation`. */
const FILE_KEYS = ['training_file', 'file_id', 'validation', 'test', 'source'];

/** The request with an id wherever it names a file on this machine, by its path from the folder of the experiment's file. */
export async function withFileIds<T>(request: T, idOf: (name: string) => Promise<string>): Promise<T> {
  const visit = async (value: unknown, key: string): Promise<unknown> => {
    if (typeof value === 'string') return FILE_KEYS.includes(key) ? idOf(value) : value;
    if (Array.isArray(value)) return inTurn(value, (one) => visit(one, key));
    if (!isTree(value) || key === 'metadata') return value;
    const entries = await inTurn(
      Object.entries(value),
      async ([name, inner]) => [name, await visit(inner, name)] as const,
    );
    return Object.fromEntries(entries);
  };
  return (await visit(request, '')) as T;
}

async function inTurn<T, U>(items: readonly T[], work: (item: T) => Promise<U>): Promise<U[]> {
  const done: U[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

/** Uploads files by their paths from a folder, each once; one that is there with the same name and bytes is used again. */
export function uploader(args: Arguments, client: Client, folder: string): (name: string) => Promise<string> {
  const ids = new Map<string, Promise<string>>();
  const upload = async (name: string): Promise<string> => {
    const file = path.resolve(folder, name);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return fileId(args, client, name);
    return (await findSame(client, file)) ?? fileId(args, client, file);
  };
  return (name) => {
    const known = ids.get(name) ?? upload(name);
    ids.set(name, known);
    return known;
  };
}

async function findSame(client: Client, file: string): Promise<string | null> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const sha256 = hash.digest('hex');
  const { data } = await client.call('listFiles', { query: { purpose: 'fine-tune', limit: 10_000 } });
  const same = data.find(
    (one) => one.sha256 === sha256 && one.filename === path.basename(file) && one.status === 'processed',
  );
  return same?.id ?? null;
}
