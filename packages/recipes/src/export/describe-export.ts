import type { ExportReport, Parity, Rounding } from '@moraine/contract';
import type { LowRankError } from '@moraine/lm';
import { type ExportFile, textFile } from './files.js';

const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;

/** How an export compares with what was trained, in a sentence. */
export const describeParity = ({
  prompts,
  tokens,
  max_logit_difference: apart,
  max_logit: size,
  top1_agreement: same,
}: Parity): string =>
  `Read back and compared with what was trained on ${tokens} tokens of ${prompts} rows: logits differ by at most ${apart.toPrecision(2)} (they reach ${size.toPrecision(3)}), the most likely token is the same at ${percent(same)} of the places.`;

/** What was lost by writing weights in the base's type, in a sentence; null where nothing was. */
export function describeRounding({ dtype, share, worst, worst_weight }: Rounding): string | null {
  if (share === 0) return null;
  return `Rounding the changed weights to ${dtype} loses ${percent(share)} of the change (‖W − round(W)‖ / ‖W − W0‖)${worst_weight === null ? '' : `, most in ${worst_weight}, ${percent(worst)}`}.`;
}

export const describeError = ({ total, worst, worstLayer }: LowRankError, rank: number | undefined): string =>
  `A product of rank ${rank} in the place of the update: it misses ${percent(total)} of it (‖ΔW − B·A‖ / ‖ΔW‖, all layers), ${percent(worst)} in the worst layer, ${worstLayer}.`;

/** Everything that is known of an export, a sentence each. */
export function describeExport({
  report,
  rank,
  error,
  lambda,
}: {
  report: ExportReport;
  rank?: number;
  error?: LowRankError;
  lambda: number;
}): string[] {
  const { parity, rounding, notes, problem } = report;
  return [
    ...(lambda === 1 ? [] : [`The update is applied by the share lambda = ${lambda}.`]),
    ...(error === undefined ? [] : [describeError(error, rank)]),
    ...(parity === null ? [] : [describeParity(parity)]),
    ...[rounding === null ? null : describeRounding(rounding)].filter((sentence) => sentence !== null),
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
