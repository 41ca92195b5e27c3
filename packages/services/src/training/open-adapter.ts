import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  AppError,
  checkExportRank,
  type ExportFormat,
  type ExportKind,
  type ExportOrder,
  methodRow,
  type RunConfig,
} from '@moraine/contract';
import { pack } from 'tar-stream';
import type { Actor, Services } from '../ground/context.js';
import type { AdapterModel } from '../ground/generated/models.js';
import { withLocalFolders } from '../ground/with-local-folders.js';
import { reportOf } from './downloads.js';
import { requireRun } from './require-run.js';

/** How stored exports are called. `lora` and `gguf` are always made. */
const KINDS: Readonly<Partial<Record<ExportFormat, ExportKind>>> = {
  native: 'adapter',
  peft: 'peft',
  merged: 'merged',
};

export interface ExportQuery {
  format: ExportFormat;
  /** Share of the update, 0 to 1. */
  lambda: number;
  /** Of format `lora`. */
  rank?: number | undefined;
  allow_error?: number | undefined;
}

/** Makes an export somewhere that is not this process, as a tar; what is read of it ends with its reader. */
export type MakeExport = (order: ExportOrder) => Promise<Readable>;

/**
 * The result of a run as a tar of its folder's files, without a folder around them: as it was stored, or made of base and result.
 * @throws AppError `not_ready` before the run has succeeded, `unsupported_format` with the reason when the method has no such form.
 */
export async function openAdapter(
  s: Services,
  actor: Actor,
  runId: string,
  query: ExportQuery,
  make: MakeExport,
): Promise<{ filename: string; stream: Readable }> {
  const run = await requireRun(s, actor, runId);
  const { status, finishedAt } = run.task;
  if (status !== 'succeeded') {
    throw new AppError(
      'not_ready',
      `${runId} is ${status} at step ${run.step} of ${run.steps}; it has no adapter${finishedAt ? '' : ' yet'}.`,
      {
        param: 'fine_tuning_job_id',
        hint: finishedAt ? 'Only a run that succeeded has one.' : 'Poll the run until its status is succeeded.',
      },
    );
  }
  checkExportRank({ ...query, maxError: query.allow_error });
  const adapters = await s.db.adapter.findMany({ where: { runId } });
  const found = adapters.find((one) => one.kind === KINDS[query.format]);
  const filename = `${runId}-${nameOf(query)}.tar`;
  if (query.lambda === 1 && found) refuseProblem(found);
  if (query.lambda === 1 && found?.blobKey) return { filename, stream: packFolder(s, found.blobKey) };
  const config = run.config as RunConfig;
  const result = resultOf(adapters);
  const why = methodRow(config.adapter).withoutExport(config.adapter, query.format);
  if (result === null || why !== null) throw unsupported(why, query.format, adapters);
  const base = await s.db.base.findUniqueOrThrow({ where: { id: run.baseId } });
  const stream = await withLocalFolders(s, [base.blobPrefix, result], ([baseDir = '', resultDir = '']) =>
    make({
      baseDir,
      resultDir,
      baseName: base.name,
      format: query.format,
      lambda: query.lambda,
      rank: query.rank,
      maxError: query.allow_error,
    }),
  );
  return { filename, stream };
}

/** What others are made from: the adapter in its own form, after full fine-tuning the model. */
const resultOf = (adapters: readonly AdapterModel[]): string | null =>
  (adapters.find(({ kind }) => kind === 'adapter') ?? adapters.find(({ kind }) => kind === 'merged'))?.blobKey ?? null;

/** `peft`, `lora-r16`, `merged-lambda-0.5`. */
function nameOf({ format, lambda, rank }: ExportQuery): string {
  const size = rank === undefined ? '' : `-r${rank}`;
  return `${format}${size}${lambda === 1 ? '' : `-lambda-${lambda}`}`;
}

function refuseProblem(adapter: AdapterModel): void {
  const { problem } = reportOf(adapter);
  if (problem !== null)
    throw new AppError('unsupported_format', problem, {
      param: 'format',
      hint: 'Ask for ?format=native; the adapter itself was compared and is right.',
    });
}

function unsupported(why: string | null, format: ExportFormat, adapters: readonly AdapterModel[]): AppError {
  const kinds = adapters.map(({ kind }) => kind);
  const stored = (Object.keys(KINDS) as ExportFormat[]).filter((one) => kinds.includes(KINDS[one] ?? ''));
  const hint = stored.length > 0 ? `Ask for ?format=${stored.join(' or ?format=')}.` : 'The run has no exports.';
  return new AppError('unsupported_format', why ?? `The run has no export '${format}'.`, { param: 'format', hint });
}

/** Packs while it is read: one open file at a time, no copy on disk. A reader that goes away ends it. */
function packFolder(s: Services, prefix: string): Readable {
  const tar = pack();
  const fill = async (): Promise<void> => {
    for (const { path, sizeBytes, modifiedAt } of await s.blobs.list(prefix)) {
      await pipeline(
        await s.blobs.open(`${prefix}/${path}`),
        tar.entry({ name: path, size: sizeBytes, mtime: modifiedAt, mode: 0o644 }),
      );
    }
    tar.finalize();
  };
  fill().catch((error: unknown) => tar.destroy(error as Error));
  return tar as unknown as Readable;
}
