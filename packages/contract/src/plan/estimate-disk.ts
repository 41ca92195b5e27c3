import { OPTIMIZERS } from '../optimizers.js';
import { keepBestCount, type RunConfig } from '../run-config.js';

const FLOAT = 4;
/** The one being written, and its copy on the way into the blob storage. */
const UNDER_WAY = 2;

/** Room on the disk that a run takes at most beside its base: its checkpoints (values and optimiser state), those it keeps and those under way. Bytes. */
export function estimateDisk({
  optimizer,
  checkpoint,
  trainable_parameters: trained,
}: Pick<RunConfig, 'optimizer' | 'checkpoint' | 'trainable_parameters'>): number {
  const { slots } = OPTIMIZERS[optimizer.type];
  return FLOAT * trained * (1 + slots) * (checkpoint.keep_last + keepBestCount(checkpoint) + UNDER_WAY);
}
