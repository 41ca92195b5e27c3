import { createWriteStream, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, EXPORT_FORMATS, type ExportFormat } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { extract } from 'tar-stream';
import { type Arguments, integer, number, oneOf, text } from '../args.js';
import { connect } from '../connect.js';
import { inRepo } from '../paths.js';
import { SHIPPED_BASE } from '../register-base.js';
import { print } from '../terminal.js';

/** Downloads what a run made, and says how it is used. */
export async function downloadRun(args: Arguments, id: string): Promise<number> {
  const { out, format, lambda, model } = await fetchRun(args, id);
  if (args.options.json) {
    print(JSON.stringify({ run_id: id, format, lambda, path: out }));
    return 0;
  }
  print(out);
  if (out.endsWith('.tar')) return 0;
  print(`Try it: ${tryOut(out, format, model)}`);
  for (const line of factsIn(out)) print(line);
  return 0;
}

interface Fetched {
  out: string;
  format: ExportFormat;
  lambda: number;
  /** The base of the run. */
  model: string;
}

/** Downloads what a run made into a folder, or as the tar that the API sends where `--out` ends in .tar; prints nothing. */
export async function fetchRun(args: Arguments, id: string): Promise<Fetched> {
  const query = queryOf(args);
  const { format, lambda } = query;
  const out = path.resolve(text(args, 'out') ?? `${id}-${format}${lambda === 1 ? '' : `-lambda-${lambda}`}`);
  if (!out.endsWith('.tar')) refuseUsed(out);
  const client = connect(args);
  const { model } = await client.call('getRun', { params: { id } });
  const response = await client.call('getRunAdapter', { params: { id }, query });
  if (!response.body) throw new AppError('internal', 'The response of the server is empty.');
  const tar = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  // Whole or not at all: a download that breaks off leaves nothing that looks like a model.
  const draft = `${out}.part`;
  rmSync(draft, { recursive: true, force: true });
  try {
    if (out.endsWith('.tar')) await pipeline(tar, createWriteStream(draft));
    else await unpack(tar, draft);
    rmSync(out, { recursive: true, force: true });
    renameSync(draft, out);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return { out, format, lambda, model };
}

/** What the options ask for. */
function queryOf(args: Arguments) {
  const [rank, allow_error] = [integer(args, 'rank', 1, 1024), number(args, 'allow-error', 0, 1)];
  return {
    format: oneOf(args, 'format', EXPORT_FORMATS) ?? ('native' as const),
    lambda: number(args, 'lambda', 0, 1) ?? 1,
    ...(rank === undefined ? {} : { rank }),
    ...(allow_error === undefined ? {} : { allow_error }),
  };
}

/** What the card of a download says: how far it is from what was trained, limits of other programs. None in downloads of earlier versions. */
function factsIn(dir: string): string[] {
  const card = path.join(dir, 'README.md');
  if (!existsSync(path.join(dir, 'export.json')) || !existsSync(card)) return [];
  return readFileSync(card, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('- '))
    .map((line) => line.slice(2));
}

function refuseUsed(out: string): void {
  const found = statSync(out, { throwIfNoEntry: false });
  if (!found || (found.isDirectory() && readdirSync(out).length === 0)) return;
  throw new AppError('conflict', `${out} is there already${found.isDirectory() ? ', and not empty' : ''}.`, {
    hint: 'Name another folder with --out.',
  });
}

/** Writes the files of a tar below a folder, and nothing outside it. */
async function unpack(tar: Readable, dir: string): Promise<void> {
  makeFolder(dir);
  const entries = extract();
  await Promise.all([
    pipeline(tar, entries),
    (async () => {
      for await (const entry of entries) {
        const file = path.join(dir, entry.header.name);
        if (entry.header.type !== 'file' || !file.startsWith(`${dir}${path.sep}`))
          throw new AppError('storage', `The tar holds '${entry.header.name}', which is no file of its folder.`);
        makeFolder(path.dirname(file));
        await pipeline(entry, createWriteStream(file));
      }
    })(),
  ]);
}

/** A path as a shell reads it. */
const quoted = (file: string): string => (/^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`);

/** The command that answers a prompt with what was downloaded. */
export function tryOut(out: string, format: ExportFormat, model: string): string {
  if (format === 'gguf') return `llama-cli -m ${quoted(path.join(out, 'model-f16.gguf'))} -p "…"`;
  const shipped = inRepo('examples', 'base');
  const base = model === SHIPPED_BASE && existsSync(shipped) ? shipped : `path/to/${model}`;
  const what = format === 'merged' ? `--base ${quoted(out)}` : `--base ${quoted(base)} --adapter ${quoted(out)}`;
  return `npx moraine local generate ${what} --prompt "…"`;
}
