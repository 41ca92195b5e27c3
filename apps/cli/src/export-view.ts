import type { ExportReport } from '@moraine/contract';

const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;

/** What is known of an export, a line each. */
export function reportLines({ parity, rounding, notes, problem }: ExportReport): string[] {
  const same =
    parity &&
    `read back: logits differ by at most ${parity.max_logit_difference.toPrecision(2)} of ${parity.max_logit.toPrecision(3)}, ${percent(parity.top1_agreement)} of ${parity.tokens} best tokens agree`;
  const rounded =
    rounding && rounding.share > 0 && `rounded to ${rounding.dtype}: ${percent(rounding.share)} of the change is lost`;
  return [same, rounded, ...notes, problem].filter((line) => typeof line === 'string');
}
