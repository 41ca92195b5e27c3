/** What the runs of an experiment did: all that its table, figures, verdict and report are computed from. Services fill it in. */
export interface ExperimentOutcome {
  /** In the order of the experiment; the first is what the others are compared with. */
  arms: OutcomeArm[];
  runs: RunOutcome[];
}

export interface OutcomeArm {
  /** Different for each arm. */
  name: string;
  /** `adapter.type` of its runs. */
  method: string;
  /** The method in words, with its sizes. */
  label: string;
  /** Colour token of the method, e.g. `lora`. */
  color: string;
  trainable_parameters: number;
  /** Share of source rows among those that are drawn; null where only targets are. */
  replay_share: number | null;
}

/** One run: its cell of the experiment, what it had, and how it did at every step that it was scored at. */
export interface RunOutcome {
  run_id: string;
  /** `name` of its arm. */
  arm: string;
  /** `search` chooses the rate and sees no test rows; `final` is reported. */
  phase: 'search' | 'final';
  seed: number;
  learning_rate: number;
  /** As the run's object has it; runs that have not succeeded yet are drawn and take no part in figures. */
  status: string;
  /** The step of the rung at which its search stopped it as one of the worse; null where it was not. */
  stopped_at: number | null;
  /** Code of the error that ended it, e.g. `nan_loss`; null otherwise. */
  verdict: string | null;
  steps: number;
  /** The step that its result is of, which validation rows chose where `checkpoint.result` is `best`; null before it has one. */
  result_step: number | null;
  /** Tokens trained on. */
  tokens: number;
  /** From its first step to its last, without waiting; null before it ends. */
  seconds: number | null;
  trainable_parameters: number;
  /** Which weights it started from: the base's id with its hash. */
  base: string;
  /** Hash of the training rows, and of the order in which they were seen. */
  data: string;
  order: string;
  /** Hash of the items that it is scored on. */
  evaluation_items: string;
  sequence_length: number;
  /** Optimiser, save its rate, and what holds training back; see `settingsOf`. */
  settings: string;
  /** By rising step; step 0, before the first update, is the base. */
  points: OutcomePoint[];
  /** Its result on the way back to the base; none where that was not scored. */
  dial: DialPoint[];
}

export interface OutcomePoint {
  step: number;
  /** Mean KL(p_base ‖ q) over held-out task tokens, nats a token; null where it was not measured. */
  kl: number | null;
  scores: FileScores[];
}

/** Scores at W0 + λ(W − W0), or the method's own path there. */
export interface DialPoint {
  lambda: number;
  scores: FileScores[];
}

/** How a model did on the rows of one file. */
export interface FileScores {
  file_id: string;
  name: string;
  /** `target`: what should be learned, `source`: what should be kept. */
  role: 'target' | 'source';
  /** Validation rows choose rate, checkpoint and λ; test rows are read once, for what was chosen. */
  use: 'validation' | 'test';
  rows: number;
  supervised_tokens: number;
  /** Nats a supervised token. */
  loss: number;
  /** Of the supervised text, in UTF-8; null where its bytes were not counted. */
  bits_per_byte: number | null;
  token_accuracy: number;
  /** Share of rows whose whole answer is right; null where rows are plain text. */
  exact_match: number | null;
}
