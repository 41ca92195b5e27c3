import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { INDEX_FILE, parseModelConfig, WEIGHTS_FILE, weightFiles } from '@moraine/contract/plan';
import { isNamedTemplate } from '../template-files.js';
import { describeBytes } from './describe-bytes.js';
import { bytesHere, downloadFile } from './download-file.js';
import type { Hub } from './hub.js';
import { lockFolder } from './lock-folder.js';
import { describeFiles, type HubFile, type HubRecord, readRecord } from './read-record.js';
import type { HubSource } from './source.js';

/** What a base has beside its weights; nothing that would be executed or unpickled. */
const COMPANIONS =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^merges\.txt$|^tokenizer\.model$|^chat_template\.jinja$|^(LICENSE|NOTICE)(\.(txt|md))?$/;

/** The largest of them; as much as an upload of one may have. */
const COMPANION_BYTES_MAX = 64 * 1024 ** 2;

export interface FetchedBase {
  commit: string;
  /** The folder of these files, `ORG--REPO` in the folder that was given. */
  dir: string;
  /** Name in the repository -> where its bytes lie on this machine. */
  files: Map<string, string>;
  /** To be called when the files were used: until then no other process downloads another revision over them. */
  free: () => Promise<void>;
}

export interface FetchOptions {
  /** Where the files are kept until the caller removes them; a later call with the same folder goes on where this one stopped. */
  dir: string;
  /** Once, before the weights: what will be fetched. */
  onPlan: (plan: { commit: string; files: number; sizeBytes: number }) => void;
  /** With each piece that arrives: bytes of all files that are here, of how many. */
  onProgress: (progress: { file: string; bytes: number; sizeBytes: number }) => void;
}

/**
 * Downloads a base from a hub: its configuration first, which is refused before any weight is fetched, then tokenizer, templates and the
 * safetensors that the index names. The folder stays locked until the caller frees it.
 * @throws AppError `not_found`, `forbidden`, `unavailable`, `storage` or `invalid_base`: what, where and what to do
 */
export async function fetchBase(hub: Hub, source: HubSource, options: FetchOptions): Promise<FetchedBase> {
  const record = await readComplete(hub, source);
  const dir = join(options.dir, record.repo.replace('/', '--'));
  makeFolder(dir, 0o700);
  const free = await lockFolder(dir, record.repo);
  try {
    const files = await fetchFiles(hub, record, { ...options, dir });
    return { commit: record.commit, dir, files, free };
  } catch (error) {
    await free();
    throw error;
  }
}

/** The same into `dir` itself, for a caller that alone writes there. */
export async function fetchBaseInto(
  hub: Hub,
  source: HubSource,
  options: FetchOptions,
): Promise<Pick<FetchedBase, 'commit' | 'files'>> {
  const record = await readComplete(hub, source);
  makeFolder(options.dir, 0o700);
  return { commit: record.commit, files: await fetchFiles(hub, record, options) };
}

/** The record of a model that has all that a base needs. */
async function readComplete(hub: Hub, source: HubSource): Promise<HubRecord> {
  const record = await readRecord(hub, source);
  refuseIncomplete(record);
  return record;
}

/** Downloads what `fetchBase` says into `dir` itself. Returns the paths by their names in the repository. */
async function fetchFiles(hub: Hub, record: HubRecord, options: FetchOptions): Promise<Map<string, string>> {
  const { dir } = options;
  const names = [...record.files.keys()];
  const companions = await describeFiles(
    hub,
    record,
    names.filter((name) => COMPANIONS.test(name) || isNamedTemplate(name)),
  );
  const isIndexed = record.files.has(INDEX_FILE);
  const small = await describeFiles(hub, record, isIndexed ? ['config.json', INDEX_FILE] : ['config.json']);
  refuseLarge(record, [...small, ...companions]);
  const fetchSmall = (file: HubFile): Promise<string> => downloadFile(hub, record, file, { dir, onBytes: () => {} });
  for (const file of small) await fetchSmall(file);
  parseModelConfig(await readJson(dir, 'config.json'));

  const index = isIndexed ? await readJson(dir, INDEX_FILE) : undefined;
  const weights = await describeFiles(hub, record, weightFiles(names, index));
  const all = [...new Set([...small, ...companions, ...weights])];
  const sizeBytes = all.reduce((sum, file) => sum + file.sizeBytes, 0);
  const here = new Map<HubFile, number>();
  for (const file of all) here.set(file, await bytesHere(dir, file));
  const total = (): number => [...here.values()].reduce((sum, bytes) => sum + bytes, 0);
  await refuseFullDisk(dir, sizeBytes - total());
  options.onPlan({ commit: record.commit, files: all.length, sizeBytes });

  const files = new Map<string, string>();
  for (const file of all) {
    const onBytes = (bytes: number): void => {
      here.set(file, bytes);
      options.onProgress({ file: file.name, bytes: total(), sizeBytes });
    };
    files.set(file.name, await downloadFile(hub, record, file, { dir, onBytes }));
  }
  return files;
}

function need({ repo, files }: HubRecord, name: string): void {
  if (files.has(name)) return;
  throw new AppError('invalid_base', `${repo} has no ${name}.`, {
    param: name,
    hint: `A base has config.json, tokenizer.json and safetensors weights; this one has ${[...files.keys()].slice(0, 12).join(', ') || 'no files'}.`,
  });
}

/** Says what no download would change, before there is one. */
function refuseIncomplete(record: HubRecord): void {
  const { repo, files } = record;
  const names = [...files.keys()];
  if (names.includes('adapter_config.json') && !names.includes('config.json'))
    throw new AppError('invalid_base', `${repo} is an adapter, not a base.`, {
      hint: 'Register the model that it was trained on.',
    });
  need(record, 'config.json');
  const hasWeights = names.includes(WEIGHTS_FILE) || names.includes(INDEX_FILE);
  const pickled = names.find((name) => /\.(bin|pt|pth)$/.test(name));
  if (!hasWeights && pickled !== undefined)
    throw new AppError('invalid_base', `${repo} has its weights as ${pickled}, which may run code when it is opened.`, {
      hint: 'Take a revision with safetensors (the hub often has one as refs/pr/N), or convert it once: save_pretrained(dir, safe_serialization=True).',
    });
  if (!hasWeights) need(record, WEIGHTS_FILE);
  if (!names.includes('tokenizer.json'))
    throw new AppError('invalid_base', `${repo} has no tokenizer.json.`, {
      param: 'tokenizer.json',
      hint: 'Save it once with a fast tokenizer: AutoTokenizer.from_pretrained(repo).save_pretrained(folder), beside the other files, and register the folder.',
    });
}

/** These are read whole into memory, and anybody may publish a model. */
function refuseLarge({ repo }: HubRecord, files: HubFile[]): void {
  for (const { name, sizeBytes } of files)
    if (sizeBytes > COMPANION_BYTES_MAX)
      throw new AppError(
        'invalid_base',
        `${name} of ${repo} has ${describeBytes(sizeBytes)}, more than the ${describeBytes(COMPANION_BYTES_MAX)} that such a file may have.`,
        { param: name, hint: 'Only weights are larger; take another model or revision.' },
      );
}

async function readJson(dir: string, name: string): Promise<unknown> {
  const text = await readFile(join(dir, name), 'utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid_base', `${name} is not JSON: ${String(cause)}.`, { param: name, cause });
  }
}

async function refuseFullDisk(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= bytes) return;
  throw new AppError(
    'storage',
    `${describeBytes(bytes)} are still to come, and the disk of ${dir} has ${describeBytes(bavail * bsize)} free.`,
    {
      hint: 'Free some space, or take another data folder with --data.',
    },
  );
}
