/** Asks whether the tokenizer of a base can be used; nothing comes back where it can. */
export interface CheckTask {
  kind: 'check_tokenizer';
  /** Texts of the base's files, by name. */
  files: Readonly<Record<string, string>>;
  vocabSize: number;
}

export type Task = CheckTask;

/** What a thread sends: its result, or an AppError in parts; a fault of the code ends it instead. */
export type Answer<T> = { result: T } | { refusal: { code: string; message: string; param?: string; hint?: string } };
