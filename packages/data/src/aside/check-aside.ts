import { type AdapterConfig, AppError } from '@moraine/contract';
import type { AdapterToCheck } from '../check-adapter.js';
import { type CheckedBase, textBytesOf } from '../check-base.js';
import type { StoredFile } from '../stored-folder.js';
import { boundsFor } from './bounds.js';
import { type Bounds, runAside } from './run-aside.js';

const bytesOf = (files: readonly StoredFile[]): number => files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/**
 * `checkBase` in a process of its own: what somebody sent never holds up a server, however long its parts take.
 * @throws AppError `invalid_base` as it does, and where the process takes more than the bounds.
 */
export async function checkBaseAside(files: readonly StoredFile[], bounds?: Bounds): Promise<CheckedBase> {
  const allowed = bounds ?? boundsFor({ textBytes: textBytesOf(files), dataBytes: bytesOf(files) });
  try {
    return await runAside({ kind: 'check_base', files }, allowed);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError('invalid_base', `The files of the base cannot be read: that ${cause.message}.`, {
      param: 'files',
      hint: 'Take the files as the model came with them; what takes so long is its tokenizer or its chat template.',
      cause,
    });
  }
}

/** `checkAdapter` in a process of its own. @throws AppError `unsupported_format` or `invalid_value` as it does. */
export async function checkAdapterAside(adapter: AdapterToCheck): Promise<AdapterConfig> {
  try {
    return await runAside({ kind: 'check_adapter', ...adapter }, boundsFor({ dataBytes: bytesOf(adapter.files) }));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError('unsupported_format', `The files of the adapter cannot be read: that ${cause.message}.`, {
      param: 'files',
      hint: 'Save the adapter anew.',
      cause,
    });
  }
}
