/** What runs of a comparison may differ in; the question names those that it varies. */
export const FACTORS = [
  'base',
  'data',
  'order',
  'tokens',
  'evaluation_items',
  'sequence_length',
  'settings',
  'trainable_parameters',
  'learning_rate',
  'seeds',
] as const;
export type Factor = (typeof FACTORS)[number];

/** One run of an arm: what it had, and how it did. Hashes are compared as they are. */
export interface ComparedRun {
  seed: number;
  learningRate: number;
  /** Which weights it started from, e.g. the base's id with its revision or hash. */
  base: string;
  /** Hash of the training rows. */
  data: string;
  /** Hash of the order in which they were seen; belongs to the seed. */
  order: string;
  /** Tokens trained on until the scored step. */
  tokens: number;
  /** Hash of the items that it is scored on. */
  evaluationItems: string;
  sequenceLength: number;
  /** Optimiser, save its rate, and what holds training back, in words; see `settingsOf`. */
  settings: string;
  /** The number that the rate is chosen by, on validation rows; null where the run diverged or was stopped as one of the worse. */
  score: number | null;
  /** The step that it was stopped at as one of the worse, before its last; absent where it was not. */
  stoppedAt?: number | undefined;
  /** The same number at earlier steps, by which a run that was stopped is compared at its own step. */
  scores?: readonly { step: number; score: number | null }[];
}

/** One arm of a comparison: a method with its runs over rates and seeds. */
export interface ComparedArm {
  /** As the table names it, e.g. `LoRA r 8`. Different for each arm. */
  name: string;
  /** `adapter.type` of its runs. */
  method: string;
  trainableParameters: number;
  /** The rate whose runs are reported. */
  learningRate: number;
  runs: readonly ComparedRun[];
}

export interface Comparison {
  /** What the question asks about: differences in it are no fault. */
  varies?: readonly Factor[];
  /** Whether a smaller score is better, as of a loss. Default true. */
  lowerIsBetter?: boolean;
}

/** Why arms cannot be compared: for programs which factor and arms, for people a sentence that follows "not comparable because". */
export interface NotComparable {
  factor: Factor;
  arms: string[];
  sentence: string;
}
