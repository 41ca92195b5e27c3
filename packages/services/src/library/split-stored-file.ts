import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AppError, type FileObject, type FileSplit, parse, SplitFileRequest } from '@moraine/contract';
import { type SplitReport, splitAside } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import type { FileModel } from '../ground/generated/models.js';
import { addToUpload, discardUpload, startUpload, type UploadedFile } from '../ground/upload.js';
import { withLocalFile } from '../ground/with-local-file.js';
import { checkedFile, insertFile } from './create-file.js';
import { liveFiles } from './require-file.js';
import { waitForFile } from './wait-for-file.js';

const PARTS = ['validation', 'test'] as const;
type PartName = (typeof PARTS)[number] | 'train';

/**
 * Divides the rows of a file over new ones, as `splitFile` of @moraine/data does, beside the loop. Files that a split like this one made before are named
 * again. They expire when the whole file does.
 * @throws AppError `not_found`; `invalid_file` where the file has errors; `invalid_request` where a part or the rest would be empty; `storage_full`.
 */
export async function splitStoredFile(
  s: Services,
  actor: Actor,
  id: string,
  body: SplitFileRequest,
  param = 'file_id',
): Promise<FileSplit> {
  const request = parse(SplitFileRequest, body);
  const whole = await waitForFile(s, actor, id, param);
  const parts = PARTS.filter((name) => request[name] > 0).map((name) => ({ name, size: request[name] }));
  if (parts.length === 0) {
    throw new AppError('invalid_value', 'validation and test are both 0: there is nothing to set aside.', {
      param: 'validation',
      hint: 'Give one of them a share below 1, or a number of rows.',
    });
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'moraine-'));
  try {
    const pathOf = (name: PartName): string => path.join(folder, name);
    const report = await divide(s, whole, {
      name: `${whole.id} (${whole.filename})`,
      parts: parts.map(({ name, size }) => ({ file: pathOf(name), size })),
      rest: pathOf('train'),
      seed: request.seed,
    });
    const made = new Map<PartName, FileSplit['train']>();
    for (const [i, name] of [...parts.map(({ name }) => name), 'train' as const].entries()) {
      const { rows, distinct } = report.parts[i] as SplitReport['parts'][number];
      const file = await keep(s, actor, whole, pathOf(name), nameOf(whole, name));
      made.set(name, { file, rows, distinct });
    }
    return {
      object: 'file.split',
      file_id: whole.id,
      seed: request.seed,
      rows: report.rows,
      distinct: report.distinct,
      train: made.get('train') as FileSplit['train'],
      validation: made.get('validation') ?? null,
      test: made.get('test') ?? null,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const NAME_LENGTH_MAX = 200;

/** `rows.jsonl` becomes `rows.train.jsonl`. */
function nameOf({ filename }: FileModel, part: PartName): string {
  const { name, ext } = path.parse(filename);
  return `${name.slice(0, NAME_LENGTH_MAX)}.${part}${ext || '.jsonl'}`;
}

async function divide(
  s: Services,
  whole: FileModel,
  task: Omit<Parameters<typeof splitAside>[0], 'from'>,
): Promise<SplitReport> {
  try {
    return await withLocalFile(s, whole.blobKey, (from) => splitAside({ from, ...task }));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError(
      'unavailable',
      `${whole.id} (${whole.filename}) cannot be divided here: that ${cause.message}.`,
      {
        hint: 'Divide it before the upload: moraine local split.',
        cause,
      },
    );
  }
}

/** A part as a file of the project: the one that has these bytes under this name, or a new one. */
async function keep(s: Services, actor: Actor, whole: FileModel, part: string, filename: string): Promise<FileObject> {
  const upload = startUpload();
  try {
    const sizeBytesMax = Number.POSITIVE_INFINITY;
    const file = await addToUpload(s, upload, filename, createReadStream(part), { sizeBytesMax });
    return await checkedFile(s, actor, (await find(s, actor, whole, file)) ?? (await insert(s, actor, whole, file)));
  } finally {
    await discardUpload(s, upload);
  }
}

async function find(s: Services, actor: Actor, { expiresAt }: FileModel, file: UploadedFile): Promise<string | null> {
  const { filename, sha256 } = file;
  const found = await s.db.file.findFirst({
    where: { ...liveFiles(actor), purpose: 'fine-tune', filename, sha256, expiresAt, status: { not: 'error' } },
  });
  return found?.id ?? null;
}

function insert(s: Services, actor: Actor, { expiresAt }: FileModel, file: UploadedFile): Promise<string> {
  const identity = { filename: file.filename, purpose: 'fine-tune', sha256: file.sha256 };
  const times = { createdAt: new Date(), expiresAt };
  return s.db.$transaction((tx) => insertFile(s, tx, actor, { file, identity, times }));
}
