import { z } from 'zod';
import { CreateRunRequest } from './run-config.js';

const { pool, priority, max_attempts, metadata } = CreateRunRequest.shape;
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

/** What is measured of an update's weights. */
const WEIGHT_KEYS = {
  kind: z.literal('weights'),
  layers: describe(
    z.string().min(1).max(256).nullable().default(null),
    'Only layers whose name holds this, e.g. `mlp` or `layers.0`. Default: every linear layer that is changed.',
  ),
  k: describe(z.int().min(1).max(1024).default(10), 'Directions of each matrix that are compared. Default 10.'),
  epsilon: describe(
    z.number().min(0).max(1).default(0.5),
    'A direction is an intruder where its cosine to each of the base’s is below it. Default 0.5.',
  ),
  seed: describe(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .default(0),
    'Of the numbers of the control. Default 0.',
  ),
};

const CANARY_KEYS = {
  kind: z.literal('canaries'),
  file: describe(z.string().min(1), 'Id of an uploaded `canaries.json`, as `moraine local canaries plant` writes it.'),
};

/** What an analysis measures, with every setting. */
export const AnalysisAsk = z.discriminatedUnion('kind', [z.object(WEIGHT_KEYS), z.object(CANARY_KEYS)]);
export type AnalysisAsk = z.output<typeof AnalysisAsk>;

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
