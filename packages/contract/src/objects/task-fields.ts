import { z } from 'zod';
import { RunState, RunStatus, StateReason } from '../states.js';
import { seconds } from './common.js';
import { AttemptObject } from './runs.js';

/** What every task of its own has on the wire, beside its id. */
export const TASK_FIELDS = {
  created_at: seconds,
  started_at: seconds.nullable(),
  finished_at: seconds.nullable(),
  status: RunStatus,
  state: RunState.nullable(),
  state_reason: StateReason.nullable(),
  error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
  metadata: z.record(z.string(), z.string()),
  attempts: z.array(AttemptObject),
  pool: z.string(),
  priority: z.int(),
};

/** The model that a task is about. */
export const SUBJECT_FIELDS = {
  /** As it was named. */
  model: z.string(),
  base: z.string(),
  /** What was trained on the base; null for the base alone. */
  tuned: z
    .object({
      /** The run that it is of; null for a registered adapter. */
      run_id: z.string().nullable(),
      /** Of its folder, and the step that it is of: what the figures are bound to. */
      sha256: z.string(),
      step: z.int().nullable(),
    })
    .nullable(),
  lambda: z.number(),
};
