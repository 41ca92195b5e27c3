import { z } from 'zod';
import { AppError } from './errors.js';
import { EXPORT_FORMATS, type ExportFormat, LOW_RANK } from './methods/method.js';

/** Up to this share of the update a LoRA of another rank may miss without being asked for it. */
export const LORA_ERROR_MAX = 0.05;

/** How exports are called where they are stored and in `local train`'s folder. */
export const EXPORT_KINDS = ['adapter', 'peft', 'merged'] as const;
export type ExportKind = (typeof EXPORT_KINDS)[number];

/** The format by which a stored export is asked for. */
export const exportFormatOf = (kind: ExportKind): ExportFormat => (kind === 'adapter' ? 'native' : kind);

/** A result in a form and at a share of its update, to be made from the files of a base and of a run. */
export interface ExportOrder {
  /** A Hugging Face folder. */
  baseDir: string;
  /** As the files name it. */
  baseName: string;
  /** An adapter's folder, or after full fine-tuning the whole model's. */
  resultDir: string;
  format: ExportFormat;
  /** Share of the update, 0 to 1. */
  lambda: number;
  /** Of format `lora`. */
  rank?: number | undefined;
  /** Of format `lora`: share of the update that it may miss. Default `LORA_ERROR_MAX`. */
  maxError?: number | undefined;
}

/** @throws AppError for a rank or an allowed error that a format has no meaning for, and for format `lora` without a rank. */
export function checkExportRank({ format, rank, maxError }: Pick<ExportOrder, 'format' | 'rank' | 'maxError'>): void {
  if (format === LOW_RANK && rank === undefined)
    throw new AppError('invalid_value', `Format '${LOW_RANK}' needs a rank.`, {
      param: 'rank',
      hint: 'Name one, for example 16.',
    });
  if (format === LOW_RANK || (rank === undefined && maxError === undefined)) return;
  const stray = rank === undefined ? 'allow_error' : 'rank';
  throw new AppError('invalid_value', `'${stray}' has no meaning for format '${format}'.`, {
    param: stray,
    hint: `Leave it out, or take format '${LOW_RANK}'.`,
  });
}

/** How far an export's logits are from those of what was trained, on a few tokens of the run's own rows. */
export const Parity = z.object({
  prompts: z.int(),
  tokens: z.int(),
  /** max |Δ| over all logits. */
  max_logit_difference: z.number(),
  /** max |logit| of what was trained: what the difference is measured by. */
  max_logit: z.number(),
  /** Share of positions with the same most likely token. */
  top1_agreement: z.number(),
});
export type Parity = z.infer<typeof Parity>;

/** What writing the changed weights in the base's type lost: ‖W − round(W)‖ / ‖W − W0‖, Frobenius, of all of them and of the worst. */
export const Rounding = z.object({
  dtype: z.string(),
  share: z.number(),
  worst: z.number(),
  worst_weight: z.string().nullable(),
});
export type Rounding = z.infer<typeof Rounding>;

/** What is known of an export beside its bytes. */
export const ExportReport = z.object({
  /** Null for an export of an earlier version, which was not compared. */
  parity: Parity.nullable(),
  /** Of merged models. */
  rounding: Rounding.nullable(),
  /** What other programs make of it, a sentence each: limits of vLLM and of llama.cpp. */
  notes: z.array(z.string()),
  /** Why it cannot be had; null where it can. */
  problem: z.string().nullable(),
});
export type ExportReport = z.infer<typeof ExportReport>;

/** A download of a run. Others can be asked for: format `lora` with a rank, and every format at a lambda below 1. */
export const Download = ExportReport.extend({
  format: z.enum(EXPORT_FORMATS),
  /** Size of its files. */
  bytes: z.int(),
  /** False: made of base and adapter when it is asked for. */
  stored: z.boolean(),
});
export type Download = z.infer<typeof Download>;
