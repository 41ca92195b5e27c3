import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, type ExportOrder, explain } from '@moraine/contract';
import { pack } from 'tar-stream';
import type { Answer } from './protocol.js';

/**
 * The process that makes one export: an order comes in over the pipe, `ready` or a refusal goes back, then the files go out of standard output
 * as a tar, and it ends. It has no connections. Operations of TensorFlow hold the event loop, so the server itself has none.
 */
const send = (message: Answer): Promise<void> =>
  new Promise((resolve) => {
    if (process.send && process.connected) process.send(message, () => resolve());
    else resolve();
  });

// Standard output belongs to the tar.
console.log = console.error;
console.info = console.error;
// A server that is gone has nobody to read for.
process.on('disconnect', () => process.exit(1));

async function makeTar(order: ExportOrder): Promise<void> {
  const { exportedTokenizer, makeExport } = await import('@moraine/recipes');
  const files = makeExport(order, await exportedTokenizer(order));
  await send({ type: 'ready' });
  const tar = pack();
  const fill = async (): Promise<void> => {
    for (const { name, open } of files) {
      const { sizeBytes, pieces } = open();
      await pipeline(Readable.from(pieces), tar.entry({ name, size: sizeBytes, mode: 0o644 }));
    }
    tar.finalize();
  };
  await Promise.all([fill(), pipeline(tar, process.stdout)]);
}

/** In parts that cross the pipe; a machine without TensorFlow says so. */
async function refuse(error: unknown): Promise<void> {
  const isRuntime = error instanceof Error && 'code' in error && String(error.code).startsWith('runtime');
  const known =
    error instanceof AppError
      ? error
      : new AppError(isRuntime ? 'runtime_missing' : 'internal', explain(error), {
          hint: isRuntime ? 'The machine of the API needs the training runtime for this: `moraine setup` there.' : '',
        });
  const { code, message, param, hint } = known;
  await send({ type: 'refused', code, message, param, hint });
  process.exit(1);
}

process.once('message', (order: ExportOrder) => {
  makeTar(order).then(() => process.exit(0), refuse);
});
