import type {
  DialPoint,
  ExperimentOutcome,
  FileScores,
  OutcomeArm,
  OutcomePoint,
  RunOutcome,
} from '../../src/experiments/index.js';

/** Outcomes of experiments, from the numbers that a test is about. */
export const scores = (
  role: FileScores['role'],
  use: FileScores['use'],
  loss: number,
  rest: Partial<FileScores> = {},
): FileScores => ({
  file_id: `file-${role}-${use}`,
  name: `${role} ${use}`,
  role,
  use,
  rows: 200,
  supervised_tokens: 4000,
  loss,
  bits_per_byte: role === 'source' ? loss : null,
  token_accuracy: 0.5,
  exact_match: null,
  ...rest,
});

export interface Told {
  /** Losses on validation and test rows, bits per byte on source rows, and KL to the base. */
  valid?: number;
  test?: number;
  source?: number;
  kl?: number;
  /** Share of the test rows that are answered. */
  exact?: number;
}

export const told = ({ valid, test, source, exact }: Told): FileScores[] => [
  ...(valid === undefined ? [] : [scores('target', 'validation', valid)]),
  ...(test === undefined ? [] : [scores('target', 'test', test, { exact_match: exact ?? null })]),
  ...(source === undefined ? [] : [scores('source', 'test', source)]),
];

export const point = (step: number, values: Told): OutcomePoint => ({
  step,
  kl: values.kl ?? null,
  scores: told(values),
});

export const dial = (lambda: number, values: Told): DialPoint => ({ lambda, scores: told(values) });

let made = 0;
export const run = (arm: string, changes: Partial<RunOutcome> = {}): RunOutcome => {
  made += 1;
  const seed = changes.seed ?? 2;
  return {
    run_id: `ftjob-${String(made).padStart(4, '0')}`,
    arm,
    phase: 'final',
    seed,
    learning_rate: 1e-3,
    status: 'succeeded',
    stopped_at: null,
    verdict: null,
    steps: 100,
    result_step: 100,
    tokens: 40_000,
    seconds: 30,
    trainable_parameters: 1000,
    base: 'base-1 aa',
    data: 'd'.repeat(64),
    order: `order of ${seed}`,
    evaluation_items: 'e'.repeat(64),
    sequence_length: 128,
    settings: 'adamw',
    points: [],
    dial: [],
    ...changes,
  };
};

export const arm = (name: string, changes: Partial<OutcomeArm> = {}): OutcomeArm => ({
  name,
  method: name.split(' ')[0] ?? name,
  label: name.toUpperCase(),
  color: name.split(' ')[0] ?? name,
  trainable_parameters: 1000,
  replay_share: null,
  ...changes,
});

/** Three rates of which the middle one is best, by one seed. */
export const search = (name: string, losses: readonly (number | null)[] = [2.2, 1.5, 2.4]): RunOutcome[] =>
  losses.map((loss, i) =>
    run(name, {
      phase: 'search',
      seed: 1,
      learning_rate: [1e-4, 1e-3, 1e-2, 1e-1][i] ?? 1,
      ...(loss === null
        ? { status: 'failed', verdict: 'nan_loss' }
        : { points: [point(50, { valid: loss + 1 }), point(100, { valid: loss })] }),
    }),
  );

/** One final run a value: the base has a test loss of 3 and 2 bits per byte on source rows. */
export const finals = (name: string, tests: readonly number[], sources: readonly number[] = []): RunOutcome[] =>
  tests.map((test, i) =>
    run(name, {
      seed: 2 + i,
      points: [
        point(0, { valid: 3, test: 3, source: 2, kl: 0 }),
        point(100, { valid: test - 0.1, test, source: sources[i] ?? 2, kl: 0.1 }),
      ],
    }),
  );

export const experiment = (arms: readonly OutcomeArm[], runs: readonly RunOutcome[]): ExperimentOutcome => ({
  arms: [...arms],
  runs: [...runs],
});

/** LoRA and MoRA, both searched and with three seeds. */
export const compared = (): ExperimentOutcome =>
  experiment(
    [arm('lora'), arm('mora')],
    [
      ...search('lora'),
      ...finals('lora', [1.0, 1.2, 1.1], [2.3, 2.5, 2.4]),
      ...search('mora'),
      ...finals('mora', [0.7, 0.8, 0.8], [2.6, 2.8, 2.8]),
    ],
  );
