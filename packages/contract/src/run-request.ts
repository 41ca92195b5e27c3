import { z } from 'zod';
import { RunAnalysis } from './analysis-keys.js';
import { refusal } from './errors.js';
import { AdapterRequest } from './methods/registry.js';
import { OPTIMIZER_NAMES, OPTIMIZERS } from './optimizers.js';
import { SplitSize } from './split-size.js';
import { SuiteRequest } from './suite-request.js';

/** What a run is asked to do: the wire form, the OpenAI fine-tuning API with our keys beside its own; unknown keys are refused. */
const auto = z.literal('auto');
const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

/**
 * How a run's numbers are computed: `plain` is the traced graph as TensorFlow runs it, `xla` the same compiled, `bf16` with the frozen
 * matrices in bfloat16, `eager` operation by operation. They differ in the last bits, and `xla` in the masks of dropout.
 */
export const NumericMode = z.enum(['plain', 'xla', 'bf16', 'eager']);
export type NumericMode = z.infer<typeof NumericMode>;

export const OptimizerRequest = z.strictObject({
  type: z.enum(OPTIMIZER_NAMES).default('adamw'),
  learning_rate: describe(
    z.union([auto, z.number().positive().max(10)]).default('auto'),
    'Peak learning rate, absolute. `auto` follows the method and the width of the base.',
  ),
  betas: describe(
    z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).optional(),
    `Decay of the moments. Default: ${OPTIMIZER_NAMES.map((name) => `[${OPTIMIZERS[name].betas.join(', ')}] for \`${name}\``).join(', ')}.`,
  ),
  eps: describe(
    z.number().positive().optional(),
    'Added to the root of the second moment, where the optimiser has one. Default 1e-8.',
  ),
  weight_decay: describe(z.number().min(0).max(1).default(0), 'Decoupled weight decay on matrices; 0 is off.'),
  decay_with: describe(
    z.enum(['learning_rate', 'schedule']).optional(),
    'What weight_decay is multiplied by in a step: its learning rate, as AdamW has it, or the share of the peak that the `schedule` has come to, so that decay does not depend on the rate (DecoupledLionW and DecoupledAdamW of MosaicML). Default `learning_rate`.',
  ),
  max_grad_norm: describe(z.number().min(0).default(1), 'Gradients are scaled to this global norm at most; 0 is off.'),
});

export const SCHEDULES = ['constant', 'linear', 'cosine', 'inverse_sqrt', 'jagged'] as const;

export const ScheduleRequest = z.strictObject({
  type: describe(
    z.enum(SCHEDULES).optional(),
    'Shape of the learning rate after warm-up. `inverse_sqrt` falls with the root of the steps since warm-up and ends with `cooldown_steps`; `jagged` is a cosine for adapter.restart, to a tenth. Every shape warms up again after a restart. Default `cosine`, with adapter.restart `jagged`.',
  ),
  warmup_steps: describe(z.int().min(0).optional(), 'Steps of linear warm-up. Not together with warmup_ratio.'),
  warmup_ratio: describe(z.number().min(0).max(1).optional(), 'Warm-up as a share of all steps. Default 0.03.'),
  min_ratio: describe(
    z.number().min(0).max(1).optional(),
    'Learning rate at the end as a share of the peak. Default 0, for `jagged` 0.1.',
  ),
  cooldown_steps: describe(
    z.int().min(0).optional(),
    'Last steps of `inverse_sqrt`, on a line down to min_ratio. Default 0. For `inverse_sqrt` only.',
  ),
});

/** What a file is for: `target` holds what should be learned, `source` what should be kept. */
export const DataRole = z.enum(['target', 'source']);
export type DataRole = z.infer<typeof DataRole>;

export const MixEntry = z.strictObject({
  file_id: describe(
    z.string().min(1),
    'Id of an uploaded file. The training file itself may be named, for its weight.',
  ),
  weight: describe(
    z.number().min(1e-6).max(1e6).default(1),
    'How many rows are drawn of it, relative to the other files; the training file has 1. Weights 7 and 1 give 7 rows of 8.',
  ),
  role: describe(
    DataRole.default('target'),
    '`target`: what should be learned; `source`: rows of what the base knows, shown again so that it is kept (replay).',
  ),
});

/** When a file of an evaluation is scored between the first and the last step. */
export const EvaluationDuring = z.enum(['steps', 'checkpoints']);
export type EvaluationDuring = z.infer<typeof EvaluationDuring>;

const EvaluationFile = z.union([
  z.string(),
  z.strictObject({
    file_id: z.string().min(1),
    role: describe(
      DataRole.default('target'),
      '`target`: what should be learned, `source`: what should be kept; a higher loss on it is forgetting.',
    ),
    during: describe(
      EvaluationDuring.optional(),
      'Evaluated on the way too, without samples: `steps`: whenever the validation file is (`every_steps`), `checkpoints`: before each checkpoint that is saved by steps, by time or as the best. Absent: before the first and after the last step alone.',
    ),
  }),
]);

export const EvaluationRequest = z.strictObject({
  every_steps: describe(
    z.int().min(0).default(0),
    'Evaluate the validation file every so many steps; 0 means about ten times a run. The last step is always evaluated.',
  ),
  files: describe(
    z.array(EvaluationFile).max(16).default([]),
    'Ids of files, alone (a target) or as `{file_id, role, during}`, evaluated before the first and after the last step: loss, token accuracy and, where a row has an answer, exact match.',
  ),
  samples: describe(z.int().min(0).max(20).default(3), 'Greedy generations kept per evaluated file.'),
  suites: describe(
    z.array(SuiteRequest).max(16).optional(),
    'Evaluations by suites, as tasks of their own in the pool of the run: `GET /v1/evaluations?run=ID` lists them.',
  ),
  analyses: describe(
    z.array(RunAnalysis).max(4).optional(),
    'Analyses of its checkpoints and its result, as tasks of their own in the pool of the run: `GET /v1/analyses?run=ID` lists them.',
  ),
});

/** Which checkpoint of a run is its result: adapter, exports, and what is scored at the end. */
export const RunResult = z.enum(['last', 'best']);

export const CheckpointRequest = z.strictObject({
  every_steps: describe(z.int().min(0).default(0), 'Save a resumable checkpoint every so many steps; 0 means by time.'),
  every_seconds: describe(
    z.number().min(0).default(60),
    'Save a resumable checkpoint after so many seconds without one; 0 is off.',
  ),
  keep_last: describe(
    z.int().min(1).max(100).default(3),
    'Resumable checkpoints kept on a run; older ones are deleted, save the best and those that are in use.',
  ),
  keep_best: describe(
    z.union([z.boolean(), z.int().min(1).max(100)]).optional(),
    'Save a checkpoint after each validation that is the best so far, and keep the best whatever `keep_last` says; a number N keeps the N of lowest validation loss. Default true (one) where there is a validation file, without which it is refused.',
  ),
  result: describe(
    RunResult.optional(),
    'Which checkpoint the result is: `last`, of the last step, or `best`, of the lowest validation loss (of equal ones the later), however many steps come after it. Default: `last`; with early_stopping `best`.',
  ),
});

export const EarlyStoppingRequest = z.strictObject({
  patience: describe(
    z.int().min(1).max(1000),
    'Evaluations of the validation file in a row without an improvement after which the run ends.',
  ),
  min_delta: describe(
    z.number().min(0).max(100).default(0),
    'An evaluation is an improvement when its loss is lower than that of the last one by more than so many nats.',
  ),
});

export const RegularizeRequest = z.strictObject({
  kl_to_base: describe(
    z.number().min(0).max(100),
    'Weight of KL(p_base ‖ q), nats a supervised token, in what is minimised: how dear it is to leave the base. 0 measures it alone.',
  ),
  on: describe(
    z.enum(['task', 'replay']).default('task'),
    'Tokens that it is taken on: the supervised ones of the target rows of a step (`task`), or those of its source rows (`replay`, which needs a file of that role in data_mix).',
  ),
});

export const Hyperparameters = z.strictObject({
  n_epochs: z.union([auto, z.int().min(1).max(50)]).optional(),
  batch_size: z.union([auto, z.int().min(1).max(256)]).optional(),
  learning_rate_multiplier: z.union([auto, z.number().positive()]).optional(),
});

const UNSUPPORTED = refusal('unsupported_method', "Leave 'method' out, or take the type 'supervised'.");
const FineTuningMethod = z.enum(['supervised', 'dpo', 'reinforcement']).refine((type) => type === 'supervised', {
  error: ({ input }) => `Moraine trains supervised; the method '${String(input)}' is not supported.`,
  params: UNSUPPORTED,
});
/** Settings of a method that there is not: present only to be refused by name. */
const OtherMethod = z
  .unknown()
  .refine((settings) => settings === undefined || settings === null, {
    error: 'Moraine trains supervised; settings of another method are not supported.',
    params: UNSUPPORTED,
  })
  .optional();

const Integrations = z.array(z.unknown()).refine((all) => all.length === 0, {
  error: 'Moraine sends metrics to no other service.',
  params: refusal(
    'unsupported_integration',
    "Leave 'integrations' out; GET /v1/runs/{id}/metrics and the run's page have the metrics.",
  ),
});

export const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, {
    message: 'metadata takes at most 16 pairs',
  });

export const CreateRunRequest = z
  .strictObject({
    model: describe(
      z.string().min(1),
      'What to train: a registered base with a fresh adapter; or an adapter to go on with: a trained model (`ft:…`), a checkpoint of a run (`ft:…:ckpt-step-N`) or a registered adapter. See GET /v1/models.',
    ),
    training_file: describe(z.string().min(1), 'Id of an uploaded JSONL file.'),
    data_mix: describe(
      z.array(MixEntry).max(16).nullish(),
      'Files that are trained on beside training_file. Rows are drawn of each by its weight, evenly over the run, in an order that the seed decides. An epoch is as many target rows as the targets have.',
    ),
    validation_file: describe(z.string().nullish(), 'Id of an uploaded JSONL file for validation loss and accuracy.'),
    validation_split: describe(
      SplitSize.positive().nullish(),
      'In place of a validation file: this share of the distinct rows of training_file below 1, or so many of them, are validation rows and not trained on. Equal files are always divided alike; the run names the two files that came of it.',
    ),
    suffix: describe(z.string().min(1).max(64).nullish(), 'Part of the name of the trained model.'),
    seed: describe(
      z.int().min(0).max(2147483647).nullish(),
      'Seed of the data order, the initial values and dropout. Chosen when absent.',
    ),
    metadata: Metadata.nullish(),
    integrations: describe(Integrations.nullish(), 'None are supported; accepted when empty.'),
    method: z
      .strictObject({
        type: describe(FineTuningMethod, '`dpo` and `reinforcement` are refused as `unsupported_method`.'),
        supervised: z.strictObject({ hyperparameters: Hyperparameters.optional() }).optional(),
        dpo: describe(OtherMethod, 'Not supported.'),
        reinforcement: describe(OtherMethod, 'Not supported.'),
      })
      .nullish(),
    hyperparameters: describe(Hyperparameters.nullish(), 'Older form of method.supervised.hyperparameters.'),
    adapter: AdapterRequest.optional(),
    optimizer: OptimizerRequest.optional(),
    schedule: ScheduleRequest.optional(),
    max_steps: describe(z.int().min(1).max(10_000_000).optional(), 'Stop after so many steps, whatever n_epochs says.'),
    batch_size: describe(z.int().min(1).max(4096).optional(), 'Sequences per step (all micro-batches together).'),
    accumulation: describe(
      z.int().min(1).max(1024).optional(),
      'Parts that a step is computed in, one after the other, to take less memory; must divide batch_size. Default 1.',
    ),
    max_seq_len: describe(z.int().min(2).optional(), 'Longest sequence in tokens. Default: the context of the base.'),
    over_length: describe(
      z.enum(['truncate', 'drop', 'error']).optional(),
      'What happens to longer rows. Default truncate; counted and shown.',
    ),
    packing: describe(
      z.boolean().optional(),
      'Put rows end to end in sequences of few lengths; attention stays inside a row. Off: rows side by side, padded. Same loss, slower. Default true.',
    ),
    mode: describe(
      NumericMode.optional(),
      'How numbers are computed: `plain`; `xla`: compiled first, for long runs; `bf16`: frozen matrices in bfloat16, 1.2 to 1.6 times as fast where the processor multiplies it (avx512_bf16, amx_bf16), slower where it does not; `eager`: slow, to find faults. A run keeps its mode. `dry_run` says which is faster. Default `plain`.',
    ),
    attention_dropout: describe(
      z.number().min(0).max(0.95).optional(),
      'Share of the weights of attention set to zero in training, after the softmax; the others are scaled up. Costs memory for one more of them a layer. Default 0.',
    ),
    regularize: describe(
      RegularizeRequest.nullish(),
      'Keeps the model near the base, and measures how far it is: metrics `kl_to_base` and, on the validation file, `valid_kl_to_base`. A step then computes the base too.',
    ),
    evaluation: EvaluationRequest.optional(),
    early_stopping: describe(
      EarlyStoppingRequest.nullish(),
      'Ends the run, as a success, when the validation loss stops improving. However it ends, its result is then the checkpoint of the best validation loss. Needs a validation file.',
    ),
    checkpoint: CheckpointRequest.optional(),
    verify_resume: describe(
      z.boolean().optional(),
      'After the last step, go on once more from the checkpoint before it and compare to the bit: loss and gradient norm of each step, then every weight. `resume_check` says what came of it; a tenth of the steps, at most 100, is computed twice.',
    ),
    priority: describe(z.int().min(0).max(100).optional(), 'Higher runs first. Default 50.'),
    pool: describe(
      z
        .string()
        .max(64)
        .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dots, dashes and underscores')
        .optional(),
      'Workers that may take the run. Default `default`.',
    ),
    max_attempts: describe(
      z.int().min(1).max(100).optional(),
      'Attempts before lost workers and faults of ours fail the run. Default 10.',
    ),
    dry_run: describe(
      z.boolean().optional(),
      'Check everything, encode the rows, and answer with the resolved configuration and what would be learned; queue nothing.',
    ),
  })
  .meta({ id: 'CreateRunRequest' });
export type CreateRunRequest = z.input<typeof CreateRunRequest>;

/** The files that a request names for evaluation, with their roles, each once as it was written. */
export const evaluationFilesOf = (request: {
  evaluation?: z.output<typeof EvaluationRequest>;
}): { file_id: string; role: DataRole; during?: EvaluationDuring | undefined }[] =>
  (request.evaluation?.files ?? []).map((file) =>
    typeof file === 'string' ? { file_id: file, role: 'target' as const } : file,
  );
