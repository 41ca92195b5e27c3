import type { AdapterToCheck } from '../check-adapter.js';
import type { EncodedFile } from '../encode-named.js';
import type { EncodeOptions } from '../encode-row.js';
import type { RunToEstimate } from '../estimate-run.js';
import type { PreviewOptions } from '../preview-file.js';
import type { SplitPart } from '../split-file.js';
import type { StoredFile } from '../stored-folder.js';

/** What a base's tokenizer is made of. */
export interface BaseTexts {
  /** Texts of the base's files, by name. */
  files: Readonly<Record<string, string>>;
  vocabSize: number;
}

/** Asks whether runs can be trained on a base; a `CheckedBase` comes back where they can. */
export interface CheckBaseTask {
  kind: 'check_base';
  files: readonly StoredFile[];
}

/** Asks whether runs can start from an adapter; its `AdapterConfig` comes back where they can. */
export interface CheckAdapterTask extends AdapterToCheck {
  kind: 'check_adapter';
}

/** Asks what a run would make of its files; an `EncodedAside` each comes back. */
export interface EncodeTask extends BaseTexts, Pick<EncodeOptions, 'maxSeqLen' | 'overLength'> {
  kind: 'encode';
  /** What a chat template takes for today, YYYY-MM-DD. */
  day: string | undefined;
  /** Names and paths, in the order in which they are encoded: the training files first. */
  rows: readonly { label: string; path: string }[];
  /** How many of them are training files. */
  trainingFiles: number;
  /** For all files together. */
  msMax: number;
}

/** Asks how rows of a file are read; a `Preview` comes back. */
export interface PreviewTask extends BaseTexts, Omit<PreviewOptions, 'promptFormat'> {
  kind: 'preview';
  day: string | undefined;
  path: string;
}

/** Asks what is wrong with a file; a `FileReport` comes back. */
export interface ValidateTask {
  /** `validate_evals`: as a file of purpose `evals`. */
  kind: 'validate' | 'validate_evals';
  path: string;
  problemsMax: number;
}

/** Asks for the rows of a file to be divided over new files; a `SplitReport` comes back. */
export interface SplitTask {
  kind: 'split';
  from: string;
  parts: readonly SplitPart[];
  /** The file of what is in no part. */
  rest: string;
  seed: number;
  /** What the file is called in an error. */
  name: string;
}

/** Asks what a run takes; a `RunEstimate` comes back. */
export interface EstimateTask {
  kind: 'estimate';
  run: RunToEstimate;
}

/** An encoded file, of its rows the numbers of tokens alone. */
export interface EncodedAside extends Omit<EncodedFile, 'rows' | 'seen'> {
  lengths: number[];
}

export type Task =
  | CheckBaseTask
  | CheckAdapterTask
  | EncodeTask
  | EstimateTask
  | PreviewTask
  | SplitTask
  | ValidateTask;

/** What the process sends: its result, or an AppError in parts; a fault of the code ends it instead. */
export type Answer<T> = { result: T } | { refusal: { code: string; message: string; param?: string; hint?: string } };
