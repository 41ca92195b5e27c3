import { z } from 'zod';

/** What is wrong with a file, and what its owner may want to know of it. */
export const FileValidation = z
  .object({
    object: z.literal('file.validation'),
    file_id: z.string(),
    status: z.enum(['uploaded', 'processed', 'error']),
    format: z.enum(['chat', 'prompt_completion', 'text']).nullable(),
    /** Rows without a problem. */
    rows: z.int(),
    /** Characters that a model reads and writes in them, and in the longest. */
    characters: z.int(),
    longest_row_characters: z.int(),
    /** The first 100. */
    problems: z.array(
      z.object({
        line: z.int(),
        /** JSON pointer of the value inside the line; empty for the whole line. */
        pointer: z.string(),
        code: z.string(),
        message: z.string(),
        hint: z.string(),
      }),
    ),
    /** Every line was read: false where there are more problems than are listed. */
    is_whole: z.boolean(),
    /** Rows that repeat an earlier one word for word; `first` is the first of them and the line that it repeats. */
    duplicates: z.object({ rows: z.int(), first: z.object({ line: z.int(), of: z.int() }).nullable() }),
  })
  .meta({ id: 'FileValidation' });
export type FileValidation = z.infer<typeof FileValidation>;

export const PreviewRow = z.object({
  line: z.int(),
  /** The first 4,096; `learned`: the model is trained to write it. Letters that several tokens spell stand at the last. */
  tokens: z.array(z.object({ id: z.int(), text: z.string(), learned: z.boolean() })),
  /** Tokens before anything is cut, and those that are trained on: 0 for a row that is left out. */
  length: z.int(),
  kept: z.int(),
  learned: z.int(),
  /** Why the row is left out. */
  dropped: z.enum(['over_length', 'prompt_too_long', 'not_written', 'nothing_supervised']).nullable(),
  /** What is done with the row beside: `split`, `end_added`, `special_in_text`, `reasoning_left_out`, `tools_left_out`, `prompt_differs`, `not_written`. */
  notes: z.array(z.string()),
  /** Why a run would refuse it. */
  problem: z.string().nullable(),
});
export type PreviewRow = z.infer<typeof PreviewRow>;

/** Rows of a file as a run reads them, and how long all of them are. */
export const FilePreview = z
  .object({
    object: z.literal('file.preview'),
    file_id: z.string(),
    model: z.string(),
    max_seq_len: z.int(),
    rows: z.array(PreviewRow),
    has_more: z.boolean(),
    /** In tokens, before anything is cut. */
    lengths: z.object({
      rows: z.int(),
      tokens: z.int(),
      longest: z.int(),
      p50: z.int(),
      p90: z.int(),
      p99: z.int(),
      /** Rows of `from` to `to` tokens, both included. */
      histogram: z.array(z.object({ from: z.int(), to: z.int(), rows: z.int() })),
    }),
    /** Rows of the file that `lengths` counts: all of them, or as many as some seconds suffice for. */
    rows_read: z.int(),
    is_whole: z.boolean(),
  })
  .meta({ id: 'FilePreview' });
export type FilePreview = z.infer<typeof FilePreview>;
