import { AppError } from '@moraine/contract';

/** A run may change under us between two looks, but not for ever. */
const LOOKS = 5;

/** Looks at a run and acts on what it saw, until what it saw still held. @throws AppError `unavailable` when that never comes. */
export async function untilSettled<T>(runId: string, look: () => Promise<T | null>): Promise<T> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const settled = await look();
    if (settled !== null) return settled;
  }
  throw new AppError('unavailable', `${runId} keeps changing.`, { hint: 'Send the request again.' });
}
