import { z } from 'zod';
import { CANARY_KEYS, WEIGHT_KEYS } from './analysis-keys.js';
import { CreateRunRequest } from './run-request.js';

const { pool, priority, max_attempts, metadata } = CreateRunRequest.shape;
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

const COMMON = {
  model: describe(
    z.string().min(1),
    'A registered adapter, the result of a run (`ft:…`) or one of its checkpoints (`ft:…:ckpt-step-N`); for canaries also a base.',
  ),
  lambda: describe(
    z.number().min(0).max(1).optional(),
    'Share of the update that is applied. Default 1, all of it. Not for a base.',
  ),
  metadata,
  priority,
  pool: describe(pool, 'Workers that may take it. Default `default`.'),
  max_attempts: describe(max_attempts, 'Attempts before lost workers and faults of ours fail it. Default 10.'),
};

/** What an analysis is asked to do: of which model, and what. */
export const CreateAnalysisRequest = z
  .discriminatedUnion('kind', [
    z.strictObject({ ...WEIGHT_KEYS, ...COMMON }),
    z.strictObject({ ...CANARY_KEYS, ...COMMON }),
  ])
  .meta({ id: 'CreateAnalysisRequest' });
export type CreateAnalysisRequest = z.input<typeof CreateAnalysisRequest>;
