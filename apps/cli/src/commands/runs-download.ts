import { createWriteStream, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { extract } from 'tar-stream';
import { type Arguments, oneOf, text } from '../args.js';
import { connect } from '../connect.js';
import { inRepo } from '../paths.js';
import { SHIPPED_BASE } from '../register-base.js';
import { print } from '../terminal.js';

export const FORMATS = ['native', 'peft', 'merged'] as const;
type Format = (typeof FORMATS)[number];

/** Downloads what a run made into a folder, or as the tar that the API sends where `--out` ends in .tar, and says how it is used. */
export async function downloadRun(args: Arguments, id: string): Promise<number> {
  const format = oneOf(args, 'format', FORMATS) ?? 'native';
  const out = path.resolve(text(args, 'out') ?? `${id}-${format}`);
  if (!out.endsWith('.tar')) refuseUsed(out);
  const client = connect(args);
  const { model } = await client.call('getRun', { params: { id } });
  const response = await client.call('getRunAdapter', { params: { id }, query: { format } });
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
  print(out);
  if (!out.endsWith('.tar')) print(`Try it: ${tryOut(out, format, model)}`);
  return 0;
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

/** The command that answers a prompt with what was downloaded. */
function tryOut(out: string, format: Format, model: string): string {
  const quoted = (file: string): string => (/^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`);
  const shipped = inRepo('examples', 'base');
  const base = model === SHIPPED_BASE && existsSync(shipped) ? shipped : `path/to/${model}`;
  const what = format === 'merged' ? `--base ${quoted(out)}` : `--base ${quoted(base)} --adapter ${quoted(out)}`;
  return `npx moraine local generate ${what} --prompt "…"`;
}
