import { z } from 'zod';

/**
 * What came of going on from a checkpoint once more: `equal` to the bit, `different`, or `inconclusive`: different, but on another device than the
 * one that the run was computed on, where bits may differ. `failed`: it could not be done.
 */
export const ResumeCheck = z
  .object({
    status: z.enum(['queued', 'running', 'equal', 'different', 'inconclusive', 'failed']),
    message: z.string(),
    /** The checkpoint that was gone on from, and the one that was arrived at; null before they are known. */
    from_step: z.int().nullable(),
    to_step: z.int().nullable(),
    /** The first value that is not as it was: `train_loss`, `grad_norm`, or the name of a tensor of the checkpoint. */
    difference: z.object({ step: z.int(), what: z.string(), recorded: z.number(), repeated: z.number() }).nullable(),
    /** Where the steps were computed first, where that is known, and again. */
    recorded_on: z.string().nullable(),
    repeated_on: z.string().nullable(),
    at: z.int(),
  })
  .meta({ id: 'ResumeCheck' });
export type ResumeCheck = z.infer<typeof ResumeCheck>;

/** A check that says no more than its status and why. */
export const plainCheck = (status: ResumeCheck['status'], message: string): ResumeCheck => ({
  status,
  message,
  from_step: null,
  to_step: null,
  difference: null,
  recorded_on: null,
  repeated_on: null,
  at: Math.floor(Date.now() / 1_000),
});
