import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { AppError, type FileObject, type FileValidation } from '@moraine/contract';
import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  needed,
  noMoreThan,
  oneOf,
  required,
  runAction,
  text,
} from '../args.js';
import { connect } from '../connect.js';
import { fileId } from '../file-id.js';
import { describeSplit, SPLIT_OPTIONS, sizeOf } from '../local/split.js';
import { PAGE_OPTIONS, printList, readPages } from '../pages.js';
import { describePreview } from '../preview-view.js';
import { bytes, isColoured, paint, print, printError, table } from '../terminal.js';
import { PART_OPTION, PURPOSES, uploadFile } from '../upload-file.js';

export const filesCommand: Command = {
  name: 'files',
  forms: [
    'upload FILE [--purpose fine-tune|evals] [--part-size MB] [--json]',
    'ls [--purpose NAME] [--order asc|desc] [--limit N | --all] [--after ID] [--json]',
    'show ID [--json]',
    'validation ID [--json]',
    'preview FILE --model BASE [--json]',
    'split FILE [--validation SIZE] [--test SIZE] [--seed N] [--json]',
    'download ID [--out FILE]',
    'delete ID [--json]',
  ],
  examples: [
    'upload rows.jsonl',
    'upload large.jsonl --part-size 8',
    'ls --all --json',
    'validation file-4f2k',
    'preview rows.jsonl --model moraine-tiny --rows 2',
    'split rows.jsonl --validation 0.1 --test 50',
    'delete file-4f2k',
  ],
  options: {
    data: DATA_OPTION,
    purpose: {
      type: 'string',
      value: 'NAME',
      help: 'What it is for: fine-tune (default) for training and validation, evals for evaluation; ls lists those alone.',
    },
    'part-size': PART_OPTION,
    order: { type: 'string', value: 'NAME', help: 'Order of ls by age: desc (default), the newest first, or asc.' },
    limit: PAGE_OPTIONS.limit,
    all: PAGE_OPTIONS.all,
    model: { type: 'string', value: 'BASE', help: 'The registered base that reads the rows, for preview.' },
    validation: SPLIT_OPTIONS.validation,
    test: { type: 'string', value: 'SIZE', help: 'Rows to judge by, once, likewise; default 0.' },
    seed: SPLIT_OPTIONS.seed,
    out: { type: 'string', value: 'FILE', help: 'File that download writes; default the standard output.' },
    rows: { type: 'string', value: 'N', help: 'Lines that preview shows, at most 20; default 5.' },
    after: {
      type: 'string',
      value: 'PLACE',
      help: 'Preview shows the lines behind this one, ls the files behind this id.',
    },
    'max-seq-len': {
      type: 'string',
      value: 'N',
      help: 'Longest row in tokens, as in a run; default the context of the base.',
    },
    json: { type: 'boolean', help: 'The file, its preview or the list as the API describes it, as JSON.' },
  },
  run: (args) =>
    runAction(args, filesCommand, { upload, ls: list, show, validation, preview, split, download, delete: remove }),
};

async function upload(args: Arguments): Promise<number> {
  const file = required(args, 1, 'The file to upload', filesCommand);
  noMoreThan(args, 2, filesCommand);
  return describe(args, await uploadFile(args, connect(args), file, oneOf(args, 'purpose', PURPOSES) ?? 'fine-tune'));
}

async function show(args: Arguments): Promise<number> {
  const id = required(args, 1, 'The id of the file', filesCommand);
  noMoreThan(args, 2, filesCommand);
  return describe(args, await connect(args).call('getFile', { params: { id } }));
}

/** Everything that is wrong with a file, up to 100 problems, and which rows it has twice; the status is 1 where a row is wrong. */
async function validation(args: Arguments): Promise<number> {
  const id = required(args, 1, 'The id of the file', filesCommand);
  noMoreThan(args, 2, filesCommand);
  const found = await connect(args).call('getFileValidation', { params: { id } });
  print(args.options.json ? JSON.stringify(found) : describeValidation(found));
  return found.problems.length > 0 ? 1 : 0;
}

function describeValidation({ rows, problems, is_whole, duplicates }: FileValidation): string {
  const { first } = duplicates;
  return [
    `${rows.toLocaleString('en')} rows without a problem.`,
    ...problems.map(
      ({ line, pointer, message, hint }) => `Line ${line}${pointer && `, ${pointer}`}: ${message} ${hint}`,
    ),
    ...(is_whole ? [] : ['There are more problems than these.']),
    ...(first
      ? [`${duplicates.rows} rows are there twice; the first is line ${first.line}, which repeats line ${first.of}.`]
      : []),
  ].join('\n');
}

/** Writes the bytes of a file, of `result_files` too, to a file of this machine, or to the standard output. */
async function download(args: Arguments): Promise<number> {
  const id = required(args, 1, 'The id of the file', filesCommand);
  noMoreThan(args, 2, filesCommand);
  const out = text(args, 'out');
  const { body } = await connect(args).call('getFileContent', { params: { id } });
  if (body === null) return 0;
  const target = out === undefined ? process.stdout : createWriteStream(out, { flags: 'wx' });
  await pipeline(Readable.fromWeb(body as ReadableStream), target, {
    end: out !== undefined,
  }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new AppError('conflict', `There is a file ${out} already.`, { hint: 'Give another name.', cause });
  });
  return 0;
}

async function remove(args: Arguments): Promise<number> {
  const id = required(args, 1, 'The id of the file', filesCommand);
  noMoreThan(args, 2, filesCommand);
  const answer = await connect(args).call('deleteFile', { params: { id } });
  print(args.options.json ? JSON.stringify(answer) : `${answer.id}: deleted`);
  return 0;
}

/** Shows rows as a run on a base reads them; a file of this machine is uploaded first. */
async function preview(args: Arguments): Promise<number> {
  const file = required(args, 1, 'The file to show, or its id', filesCommand);
  noMoreThan(args, 2, filesCommand);
  const model = needed(args, 'model', filesCommand);
  const after = integer(args, 'after', 0, Number.MAX_SAFE_INTEGER);
  const limit = integer(args, 'rows', 1, 20);
  const max_seq_len = integer(args, 'max-seq-len', 2, Number.MAX_SAFE_INTEGER);
  const client = connect(args);
  const id = await fileId(args, client, file);
  const found = await client.call('previewFile', { params: { id }, query: { model, after, limit, max_seq_len } });
  print(args.options.json ? JSON.stringify(found) : describePreview(found, isColoured()));
  return 0;
}

/** Divides the rows of a file, which is uploaded first where it is one of this machine. */
async function split(args: Arguments): Promise<number> {
  const file = required(args, 1, 'The file to divide, or its id', filesCommand);
  noMoreThan(args, 2, filesCommand);
  const [validation, test] = [sizeOf(args, 'validation'), sizeOf(args, 'test')];
  const seed = integer(args, 'seed', 0, 2 ** 31 - 1);
  const client = connect(args);
  const id = await fileId(args, client, file);
  const made = await client.call('splitFile', { params: { id }, body: { validation, test, seed } });
  const places = [made.train, made.validation, made.test].flatMap((part) =>
    part === null ? [] : [{ rows: part.rows, place: `${part.file.id}, ${part.file.filename}` }],
  );
  print(args.options.json ? JSON.stringify(made) : describeSplit(made, places));
  return 0;
}

/** What a file is and what is wrong with it; the status is 1 where something is. */
function describe(args: Arguments, file: FileObject): number {
  const status = file.status === 'error' ? 1 : 0;
  if (args.options.json) {
    print(JSON.stringify(file));
    return status;
  }
  print(`${file.id}: ${file.filename}, ${bytes(file.bytes)}, ${verdictOf(file)}.`);
  if (status === 1) printError(paint('red', file.status_details ?? 'It was refused without a reason.'));
  else if (file.purpose === 'fine-tune')
    print(`Train on it: npx moraine runs create --model moraine-tiny --file ${file.id}`);
  return status;
}

const FORMATS = { chat: 'chat', prompt_completion: 'prompt and completion', text: 'text' } as const;

/** What checking a file found, in few words. */
function verdictOf({ status, rows, format, problems }: FileObject): string {
  if (status === 'uploaded') return 'being checked';
  if (status === 'error') return problems.length === 0 ? 'refused' : `refused, ${problems.length} problems`;
  return `${(rows ?? 0).toLocaleString('en')} rows${format ? ` of ${FORMATS[format]}` : ''}`;
}

const NO_FILES =
  'No files yet. Upload one with `moraine files upload FILE`: rows such as {"prompt": "2 + 2 =", "completion": "4"}.';

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, filesCommand);
  const [purpose, order] = [text(args, 'purpose'), oneOf(args, 'order', ['asc', 'desc'])];
  const files = await readPages(args, 1_000, (client, page) =>
    client.call('listFiles', { query: { purpose, order, ...page } }),
  );
  return printList(args, files, tableOf, purpose === undefined ? NO_FILES : `No files of purpose ${purpose}.`);
}

const tableOf = (files: FileObject[]): string =>
  table(
    [
      { title: 'FILE' },
      { title: 'NAME' },
      { title: 'PURPOSE' },
      { title: 'SIZE', align: 'right' },
      { title: 'VERDICT' },
    ],
    files.map((file) => [file.id, file.filename, file.purpose, bytes(file.bytes), verdictOf(file)]),
  );
