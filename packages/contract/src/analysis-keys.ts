import { z } from 'zod';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

/** What is measured of an update's weights. */
export const WEIGHT_KEYS = {
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

export const CANARY_KEYS = {
  kind: z.literal('canaries'),
  file: describe(z.string().min(1), 'Id of an uploaded `canaries.json`, as `moraine local canaries plant` writes it.'),
};

/** What an analysis measures, with every setting. */
export const AnalysisAsk = z.discriminatedUnion('kind', [z.object(WEIGHT_KEYS), z.object(CANARY_KEYS)]);
export type AnalysisAsk = z.output<typeof AnalysisAsk>;

/** When a run has its model measured: its base before, each checkpoint, its result. */
const OF_RUN = {
  lambda: describe(
    z.number().min(0).max(1).optional(),
    'Share of the update of a checkpoint or the result. Default 1.',
  ),
};
const DURING =
  '`during`: every checkpoint, which is kept until it is measured; `after`: the result. Default `["after"]`.';

/** A base has no update to measure: `weights` is asked of what was trained alone. */
export const RunWeights = z.strictObject({
  ...WEIGHT_KEYS,
  ...OF_RUN,
  when: describe(
    z
      .array(z.enum(['during', 'after']))
      .min(1)
      .max(2)
      .default(['after']),
    DURING,
  ),
});

export const RunAnalysis = z.discriminatedUnion('kind', [
  RunWeights,
  z.strictObject({
    ...CANARY_KEYS,
    ...OF_RUN,
    when: describe(
      z
        .array(z.enum(['before', 'during', 'after']))
        .min(1)
        .max(3)
        .default(['after']),
      `\`before\`: the base, what is known before any training; ${DURING}`,
    ),
  }),
]);
export type RunAnalysis = z.output<typeof RunAnalysis>;
