import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, type ExportFormat, methodRow, type RunConfig } from '@moraine/contract';
import { pack } from 'tar-stream';
import type { Actor, Services } from '../ground/context.js';
import { requireRun } from './require-run.js';

/** How the exports of a run are called in storage. */
const KINDS: Readonly<Record<ExportFormat, string>> = { native: 'adapter', peft: 'peft', merged: 'merged' };

/**
 * The result of a run as a tar of its folder's files, without a folder around them.
 * @throws AppError `not_ready` before the run has succeeded, `unsupported_format` with the reason when the method has no such form.
 */
export async function openAdapter(
  s: Services,
  actor: Actor,
  runId: string,
  format: ExportFormat,
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
  const adapters = await s.db.adapter.findMany({ where: { runId } });
  const adapter = adapters.find((one) => one.kind === KINDS[format]);
  if (!adapter)
    throw unsupported(
      run.config as RunConfig,
      format,
      adapters.map((one) => one.kind),
    );
  return { filename: `${runId}-${format}.tar`, stream: packFolder(s, adapter.blobKey) };
}

function unsupported({ adapter }: RunConfig, format: ExportFormat, kinds: readonly string[]): AppError {
  const formats = (Object.keys(KINDS) as ExportFormat[]).filter((one) => kinds.includes(KINDS[one]));
  const hint = formats.length > 0 ? `Ask for ?format=${formats.join(' or ?format=')}.` : 'The run has no exports.';
  const why = methodRow(adapter).withoutExport(adapter, format) ?? `The run has no export '${format}'.`;
  return new AppError('unsupported_format', why, { param: 'format', hint });
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
  fill().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return tar as unknown as Readable;
}
