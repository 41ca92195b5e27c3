import type { ExportFormat, ExportOrder, ExportReport, Parity, Rounding } from '@moraine/contract';
import type { LowRankError } from '@moraine/lm';
import { type ExportFile, textFile } from './files.js';

/** What an export's folder says of itself in `export.json`. */
export interface ExportFacts extends Pick<ExportOrder, 'format' | 'lambda'> {
  base: string;
  rank?: number;
  /** How far the LoRA is from the update, where it is approximate. */
  error?: LowRankError;
  report: ExportReport;
}

/** A share in per cent, three digits. */
export const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;

/** How an export compares with what was trained, in a sentence. */
export function describeParity(
  { prompts, tokens, max_logit_difference: apart, max_logit: size, top1_agreement: same }: Parity,
  format: ExportFormat,
): string {
  const how =
    format === 'gguf'
      ? 'Its matrices in float16, not the file read back, were compared with what was trained'
      : 'Read back and compared with what was trained';
  return `${how} on ${tokens} tokens of ${prompts} rows: logits differ by at most ${apart.toPrecision(2)} (they reach ${size.toPrecision(3)}), the most likely token is the same at ${percent(same)} of the places.`;
}

/** What was lost by writing weights in the base's type, in a sentence; none where nothing was. */
export function describeRounding({ dtype, share, worst, worst_weight }: Rounding): string[] {
  if (share === 0) return [];
  const most = worst_weight === null ? '' : `, most in ${worst_weight}, ${percent(worst)}`;
  return [
    `Rounding the changed weights to ${dtype} loses ${percent(share)} of the change (‖W − round(W)‖ / ‖W − W0‖)${most}.`,
  ];
}

export const describeError = ({ total, worst, worstLayer }: LowRankError, rank: number | undefined): string =>
  `A product of rank ${rank} in the place of the update: it misses ${percent(total)} of it (‖ΔW − B·A‖ / ‖ΔW‖, all layers), ${percent(worst)} in the worst layer, ${worstLayer}.`;

/** Everything that is known of an export, a sentence each. */
export function describeExport({ format, report, rank, error, lambda }: Omit<ExportFacts, 'base'>): string[] {
  const { parity, rounding, notes, problem } = report;
  return [
    ...(lambda === 1 ? [] : [`The update is applied by the share lambda = ${lambda}.`]),
    ...(error === undefined ? [] : [describeError(error, rank)]),
    ...(parity === null ? [] : [describeParity(parity, format)]),
    ...(rounding === null ? [] : describeRounding(rounding)),
    ...notes,
    ...(problem === null ? [] : [problem]),
  ];
}

/** A card with these sentences. */
export const readmeFile = (sentences: () => string[]): ExportFile =>
  textFile(
    'README.md',
    () =>
      `# Trained with Moraine\n\n${sentences()
        .map((one) => `- ${one}\n`)
        .join('')}`,
  );
