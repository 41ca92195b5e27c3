import { z } from 'zod';
import { RunWeights } from '../analysis-keys.js';
import { AdapterRequest, METHOD_SPELLINGS } from '../methods/registry.js';
import {
  CheckpointRequest,
  CreateRunRequest,
  EvaluationRequest,
  Metadata,
  MixEntry,
  OptimizerRequest,
} from '../run-request.js';

/** What an experiment is asked to find out: arms, what they share, and how the rate of each is searched. */
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

const Rate = z.number().positive().max(10);
const Seed = z.int().min(0).max(2_147_483_647);
const FileId = z.string().min(1);

/** Names that a cell's key and a file name can hold. */
const Name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._+-]*$/, 'letters, digits, spaces and . _ + -');

const Bracket = z.strictObject({
  type: z.literal('bracket'),
  start: describe(
    Rate.optional(),
    'The rate in the middle of the first three. Default: the automatic rate of the method.',
  ),
  factor: describe(z.number().min(1.1).max(100).default(2), 'How many times each rate is the one below it.'),
  max_runs: describe(
    z.int().min(3).max(50).default(9),
    'Rates tried at most. A search that ends so has its optimum at an edge, and its arm is not comparable.',
  ),
});

const Grid = z.strictObject({
  type: z.literal('grid'),
  learning_rates: describe(z.array(Rate).min(1).max(50), 'All of them are tried. One alone is taken without a search.'),
});

const RandomRates = z.strictObject({
  type: z.literal('random'),
  min: Rate,
  max: Rate,
  runs: describe(z.int().min(3).max(100), 'Rates drawn between min and max, evenly in their logarithm.'),
  seed: describe(Seed.default(1), 'The same seed draws the same rates.'),
});

const Asha = z.strictObject({
  type: z.literal('asha'),
  min: Rate,
  max: Rate,
  runs: describe(z.int().min(2).max(200), 'Rates drawn between min and max, evenly in their logarithm.'),
  seed: describe(Seed.default(1), 'The same seed draws the same rates.'),
  eta: describe(
    z.int().min(2).max(10).default(3),
    'Of the runs that have come to a rung, one of so many goes on to the next, which has so many times the steps.',
  ),
  min_steps: describe(
    z.int().min(1).optional(),
    'Steps of the first rung at least. Default: those of two rungs below the last, max_steps / eta².',
  ),
});

/** How the learning rate of an arm is found. */
export const Search = z.discriminatedUnion('type', [Bracket, Grid, RandomRates, Asha]);
export type Search = z.output<typeof Search>;

const { betas, eps, decay_with, weight_decay, max_grad_norm } = OptimizerRequest.shape;

/** How an arm is held back, in the keys of a run. A rate is not among them: each arm has its own anyway. */
const ArmSettings = z.strictObject({
  optimizer: describe(
    z
      .strictObject({
        betas,
        eps,
        decay_with,
        weight_decay: weight_decay.unwrap().optional(),
        max_grad_norm: max_grad_norm.unwrap().optional(),
      })
      .optional(),
    'Replaces keys of the optimiser that all runs share.',
  ),
  attention_dropout: CreateRunRequest.shape.attention_dropout,
  regularize: CreateRunRequest.shape.regularize,
});

export const ExperimentArm = z.strictObject({
  name: describe(
    Name.max(32).optional(),
    'As tables call it; must differ from those of the other arms. Default: the method, with its rank where that is given.',
  ),
  adapter: describe(
    z.union([z.enum(METHOD_SPELLINGS), AdapterRequest]),
    'What is trained: the `adapter` of a run, or a word for it as `--method` of the command line takes it.',
  ),
  learning_rates: describe(
    z.union([z.array(Rate).min(1).max(50), Search]).optional(),
    "Rates to try, or a search of this arm's own in place of `search`.",
  ),
  data_mix: describe(
    z.array(MixEntry).max(16).optional(),
    "Replaces the experiment's own for this arm, as for a share of replay; `varies` must name `data`.",
  ),
  settings: describe(
    ArmSettings.optional(),
    'Settings of this arm alone, over those of `fixed`, as for a comparison of ways to regularise; `varies` must name `settings`.',
  ),
});
export type ExperimentArm = z.output<typeof ExperimentArm>;

const RUN_KEYS = {
  max_steps: true,
  batch_size: true,
  accumulation: true,
  max_seq_len: true,
  over_length: true,
  packing: true,
  mode: true,
  attention_dropout: true,
  regularize: true,
  schedule: true,
  max_attempts: true,
} as const;

/** Settings that every run of an experiment has, as a run's request names them; what arms differ in is not among them. */
export const FixedSettings = CreateRunRequest.pick(RUN_KEYS).extend({
  checkpoint: describe(
    CheckpointRequest.extend({
      result: describe(
        CheckpointRequest.shape.result.unwrap().default('best'),
        'Which checkpoint of each run is chosen by and reported: `best`, of the lowest validation loss (of equal ones the later), or `last`, where all are to be compared after the same steps.',
      ),
    }).prefault({}),
    'As of a run.',
  ),
  n_epochs: describe(z.int().min(1).max(50).optional(), 'Passes over the training rows. Not together with max_steps.'),
  optimizer: describe(
    OptimizerRequest.omit({ learning_rate: true }).optional(),
    'Of every run, save the rate, which belongs to the arm.',
  ),
});
export type FixedSettings = z.output<typeof FixedSettings>;

const ExperimentEvaluation = z.strictObject({
  validation: describe(FileId, 'Rows that the learning rate is chosen by. Every run is scored on them.'),
  test: describe(FileId.optional(), 'Rows that the reported figures are of; only runs of the final seeds see them.'),
  source: describe(
    z.array(FileId).max(8).default([]),
    'Rows of what the base knows; a higher loss on them is forgetting. Runs of the final seeds are scored on them.',
  ),
  every_steps: EvaluationRequest.shape.every_steps,
  points: describe(
    z.enum(['steps', 'checkpoints', 'ends']).default('steps'),
    'When final runs are scored on validation and source rows, each time a dot of their paths in the plane: whenever validation rows are (`steps`, the default), at each checkpoint, or before the first step and for the result alone (`ends`). Test rows are read there alone.',
  ),
  samples: EvaluationRequest.shape.samples,
  analyses: describe(
    z.array(RunWeights).max(4).optional(),
    'Analyses of the update of every final run, at its checkpoints or its end, as tasks of their own: `GET /v1/runs/{id}/analyses` has their course.',
  ),
});

export const ExperimentSeeds = z.strictObject({
  search: describe(Seed.default(1), 'Seed of the runs that the learning rate is chosen by.'),
  final: describe(
    z.array(Seed).min(1).max(32).default([2, 3, 4]),
    'Seeds of the runs that are reported, at the rate that was chosen. Fewer than three give no interval.',
  ),
});

/** Differences that the question asks about. */
const VARIES = ['data', 'order', 'tokens', 'trainable_parameters', 'settings'] as const;

export const ExperimentRequest = z
  .strictObject({
    name: describe(
      Name.min(1).max(64),
      'Finds the experiment again: the same request under its name answers it, another one is refused.',
    ),
    model: CreateRunRequest.shape.model,
    training_file: CreateRunRequest.shape.training_file,
    data_mix: describe(z.array(MixEntry).max(16).optional(), 'As of a run, for every arm without its own.'),
    evaluation: ExperimentEvaluation,
    fixed: describe(FixedSettings.prefault({}), 'What all runs share, in the keys of a run.'),
    arms: describe(z.array(ExperimentArm).min(1).max(32), 'What is compared.'),
    match: z
      .strictObject({
        parameters: describe(
          z.union([z.string(), z.int().positive()]),
          'An arm, or a number of parameters: every other adapter without a size of its own gets the rank, or the size of blocks, whose count comes nearest. Adapters more than 5 % apart are refused. Full fine-tuning is the yardstick and exempt.',
        ),
      })
      .optional(),
    varies: describe(
      z.array(z.enum(VARIES)).default([]),
      'What the question asks about: arms that differ in it are comparable all the same.',
    ),
    seeds: describe(ExperimentSeeds.prefault({}), 'Seeds decide order, initial values and dropout.'),
    search: describe(
      Search.prefault({ type: 'bracket' }),
      '`bracket`: three rates around the start, then on until the best has a worse neighbour on both sides. `grid`: these rates. `random`: drawn ones. `asha`: drawn ones, of which the worse are stopped at the steps of rungs (asynchronous successive halving, arXiv:1810.05934).',
    ),
    lambdas: describe(
      z.array(z.number().gt(0).lt(1)).max(9).default([]),
      'Shares of the update at which every final run is scored on validation and source rows, as evaluations after its end; at the share that validation rows choose for an arm also on test rows. 1 and 0 are known from the run.',
    ),
    priority: describe(z.int().min(0).max(100).default(40), 'Of its runs; below the 50 of a run by default.'),
    pool: CreateRunRequest.shape.pool,
    metadata: Metadata.optional(),
    dry_run: describe(z.boolean().optional(), 'Answer with the plan, its budgets and its cost; start nothing.'),
  })
  .meta({ id: 'CreateExperimentRequest' });
export type ExperimentRequest = z.input<typeof ExperimentRequest>;
/** With its defaults. */
export type ExperimentSpec = z.output<typeof ExperimentRequest>;

export const GrowExperimentRequest = z
  .strictObject({
    arms: describe(z.array(ExperimentArm).max(32).default([]), 'Arms beside those that there are.'),
    seeds: describe(z.array(Seed).max(32).default([]), 'Final seeds beside those that there are.'),
    max_runs: describe(
      z.int().min(3).max(50).optional(),
      'How many rates a bracket search may try now, where an optimum was left at an edge.',
    ),
  })
  .meta({ id: 'GrowExperimentRequest' });
export type GrowExperimentRequest = z.input<typeof GrowExperimentRequest>;
