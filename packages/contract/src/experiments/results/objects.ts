import { z } from 'zod';

/** Results of an experiment as they go over the wire. */
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

/** What is learned is told by one of these, on rows of the role target. */
export const METRICS = ['loss', 'bits_per_byte', 'token_accuracy', 'exact_match'] as const;
export const ResultMetric = z.enum(METRICS);
export type ResultMetric = z.infer<typeof ResultMetric>;

/** A mean over seeds. */
export const Figure = z
  .object({
    mean: z.number(),
    half: describe(
      z.number().nullable(),
      'Half of the 95 % t-interval over the seeds; null with fewer than three, and where all are equal.',
    ),
    n: describe(z.int(), 'Seeds.'),
    reason: describe(z.string().nullable(), 'Why there is no interval; null where there is one.'),
  })
  .meta({ id: 'ExperimentFigure' });
export type Figure = z.infer<typeof Figure>;

const NotComparableObject = z.object({
  factor: z.string(),
  arms: z.array(z.string()),
  sentence: describe(z.string(), 'Follows "not comparable because".'),
});

/** One run of the final seeds, at what was chosen by validation rows. */
export const TableRun = z.object({
  run_id: z.string(),
  seed: z.int(),
  status: z.string(),
  step: describe(z.int().nullable(), 'The checkpoint that validation rows chose; null where the run takes no part.'),
  lambda: z.number().nullable(),
  rows: describe(z.int().nullable(), 'Test rows that it was scored on.'),
  learned: describe(z.number().nullable(), 'The metric on test rows.'),
  base: describe(z.number().nullable(), 'The same of the base, which is step 0.'),
  interval: describe(
    z.tuple([z.number(), z.number()]).nullable(),
    "Wilson's 95 % interval of a share over the rows: it speaks of this one model.",
  ),
  kept: describe(
    z.number().nullable(),
    'Bits per byte on source rows beyond those of the base; above 0 is forgetting.',
  ),
  seconds: z.number().nullable(),
  left_out: describe(z.string().nullable(), 'Why it takes no part in the figures; null where it does.'),
});
export type TableRun = z.infer<typeof TableRun>;

const Stopped = describe(
  z.object({ step: z.int(), loss: z.number().nullable() }).nullable(),
  'Where a search stopped it as one of the worse, with the validation loss there, which is comparable at that step alone.',
);

export const TableRow = z
  .object({
    arm: z.string(),
    method: z.string(),
    label: z.string(),
    color: z.string(),
    yardstick: describe(z.string().nullable(), 'Of an arm that trains the whole model: how many times the parameters.'),
    trainable_parameters: z.int(),
    replay_share: z.number().nullable(),
    learning_rate: describe(z.number().nullable(), 'Chosen by validation rows; null before it is.'),
    is_bracketed: describe(z.boolean().nullable(), 'Whether a smaller and a larger rate were both worse.'),
    rates: z.array(
      z.object({
        learning_rate: z.number(),
        loss: describe(
          z.number().nullable(),
          'Validation loss of the result; null where a run diverged, and where one was stopped before.',
        ),
        stopped: Stopped,
        seeds: z.array(z.int()),
      }),
    ),
    base: Figure.nullable(),
    learned: Figure.nullable(),
    kept: Figure.nullable(),
    kept_reason: describe(z.string().nullable(), 'Why nothing is said of what was kept.'),
    difference: describe(
      z
        .object({ to: z.string(), learned: Figure.nullable(), kept: Figure.nullable(), reason: z.string().nullable() })
        .nullable(),
      'From the first arm, paired by seed and order; null of the first itself.',
    ),
    seconds: describe(
      z.object({ search: z.number(), final: z.number(), runs_unmeasured: z.int() }),
      'What its runs took; runs that have not said so are counted.',
    ),
    runs: z.array(TableRun),
  })
  .meta({ id: 'ExperimentTableRow' });
export type TableRow = z.infer<typeof TableRow>;

export const ExperimentTable = z
  .object({
    object: z.literal('experiment.table'),
    metric: ResultMetric,
    unit: z.string(),
    lower_is_better: z.boolean(),
    search_seeds: z.array(z.int()),
    rows: z.array(TableRow),
    not_comparable: z.array(NotComparableObject),
    claims: describe(z.array(z.string()), 'What the figures hold up: intervals of comparable arms that do not hold 0.'),
  })
  .meta({ id: 'ExperimentTable' });
export type ExperimentTable = z.infer<typeof ExperimentTable>;

const Axis = z.object({ title: z.string(), unit: z.string() });

/** One model in the plane: a checkpoint, or one on its way back to the base. */
export const PlanePoint = z.object({
  step: z.int(),
  lambda: z.number(),
  x: describe(z.number(), 'Learned: better than the base by so much.'),
  y: describe(z.number(), 'Kept: 0 is as the base; below it is forgetting.'),
  is_on_front: z.boolean(),
});
export type PlanePoint = z.infer<typeof PlanePoint>;

const Fit = z.object({
  coefficients: describe(z.array(z.number()), 'Of 1, D, D², …'),
  r2: z.number().nullable(),
  leave_one_method_out_r2: describe(
    z.number().nullable(),
    'Each method is foretold by the fit of the others. Below 0 the mean of all would have been better.',
  ),
});

export const KlGauge = z
  .object({
    points: z.array(
      z.object({
        run_id: z.string(),
        arm: z.string(),
        method: z.string(),
        color: z.string(),
        kl: describe(z.number(), 'Mean KL(p_base ‖ q) on held-out task tokens at the end of the run, nats a token.'),
        forgotten: describe(z.number(), 'Bits per byte on source rows beyond those of the base.'),
      }),
    ),
    methods: z.array(z.string()),
    quadratic: Fit.nullable(),
    linear: Fit.nullable(),
    refusal: describe(z.string().nullable(), 'Why no claim is made; null where the fits are there.'),
  })
  .meta({ id: 'KlGauge' });
export type KlGauge = z.infer<typeof KlGauge>;

export const ExperimentFrontier = z
  .object({
    object: z.literal('experiment.frontier'),
    metric: ResultMetric,
    rows: describe(z.enum(['validation', 'test']), 'Rows that x is of.'),
    x: Axis,
    y: Axis,
    runs: z.array(
      z.object({
        run_id: z.string(),
        arm: z.string(),
        label: z.string(),
        color: z.string(),
        seed: z.int(),
        status: z.string(),
        points: describe(z.array(PlanePoint), 'Its checkpoints, by step.'),
        dial: describe(z.array(PlanePoint), 'Its result on its way back to the base, by rising λ.'),
      }),
    ),
    front: describe(
      z.array(
        PlanePoint.omit({ is_on_front: true }).extend({ run_id: z.string().nullable(), arm: z.string().nullable() }),
      ),
      'Models that no other beats on both axes, by rising x; without a run it is the base.',
    ),
    left_out: describe(
      z.array(z.object({ run_id: z.string(), reason: z.string() })),
      'Runs that have no place, and why.',
    ),
    gauge: KlGauge,
  })
  .meta({ id: 'ExperimentFrontier' });
export type ExperimentFrontier = z.infer<typeof ExperimentFrontier>;

const MeanPoint = z.object({ step: z.int(), mean: z.number(), half: z.number().nullable(), n: z.int() });

/** One quantity over steps. */
export const CurvePanel = z.object({
  quantity: z.enum([...METRICS, 'kept', 'kl']),
  title: z.string(),
  unit: z.string(),
  arms: z.array(
    z.object({
      arm: z.string(),
      label: z.string(),
      color: z.string(),
      runs: z.array(
        z.object({
          run_id: z.string(),
          seed: z.int(),
          points: z.array(z.object({ step: z.int(), value: z.number() })),
        }),
      ),
      mean: describe(z.array(MeanPoint), 'Over the seeds, at steps that all of them have.'),
    }),
  ),
});
export type CurvePanel = z.infer<typeof CurvePanel>;

export const ExperimentCurves = z
  .object({
    object: z.literal('experiment.curves'),
    panels: z.array(CurvePanel),
    rates: z.array(
      z.object({
        arm: z.string(),
        label: z.string(),
        color: z.string(),
        learning_rate: z.number().nullable(),
        is_bracketed: z.boolean().nullable(),
        points: z.array(
          z.object({
            learning_rate: z.number(),
            loss: describe(
              z.number().nullable(),
              'Mean validation loss of the results over the seeds; null where a run diverged, and where one was stopped before.',
            ),
            stopped: Stopped,
            seeds: z.array(z.int()),
            is_chosen: z.boolean(),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'ExperimentCurves' });
export type ExperimentCurves = z.infer<typeof ExperimentCurves>;

export const ExperimentReport = z
  .object({ object: z.literal('experiment.report'), markdown: z.string() })
  .meta({ id: 'ExperimentReport' });
export type ExperimentReport = z.infer<typeof ExperimentReport>;

/** What to use, or that nothing is better than the base. */
export const ExperimentVerdict = z
  .object({
    object: z.literal('experiment.verdict'),
    decision: z.enum(['use', 'do_not_use']),
    reason: describe(z.string(), 'One sentence that says why.'),
    metric: ResultMetric,
    chosen: describe(
      z
        .object({
          arm: z.string(),
          label: z.string(),
          learning_rate: z.number(),
          is_bracketed: z.boolean(),
          run_id: z.string(),
          step: z.int(),
          lambda: z.number(),
        })
        .nullable(),
      'By validation rows: arm, rate, checkpoint and share of the update, and the run of the seed that did best there; null where nothing could be chosen.',
    ),
    base: describe(z.number().nullable(), 'The metric of the base on test rows.'),
    tuned: describe(z.number().nullable(), 'The metric of what was chosen on test rows, mean over its seeds.'),
    gain: describe(
      z
        .object({
          mean: z.number(),
          low: z.number(),
          high: z.number(),
          n: z.int(),
          over: z.enum(['seeds', 'items']),
        })
        .nullable(),
      'Better than the base by so much, with its 95 % interval, over seeds or over the items of one model; null where nothing gives an interval.',
    ),
    forgotten: describe(
      Figure.nullable(),
      'Bits per byte on source rows beyond those of the base; null where there are none.',
    ),
    seconds: describe(z.number(), 'Of training, all runs together.'),
    runs_unmeasured: describe(z.int(), 'Runs that have not said what they took.'),
    next_command: z.string().nullable(),
  })
  .meta({ id: 'ExperimentVerdict' });
export type ExperimentVerdict = z.infer<typeof ExperimentVerdict>;
