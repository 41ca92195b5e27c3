import { type Figures, numberIn } from './sides.js';

/** Float32 sums in different orders differ by about this at a loss near 10. */
const FIRST_LOSS_TOLERANCE = 2e-4;
/** Adapters start from different random numbers, so later losses agree only so far. */
const LAST_LOSSES_TOLERANCE = 0.02;

/**
 * Whether the sides of a job computed the same thing: the first loss of the same rows and weights, about the same losses later, the same
 * tokens. One sentence for every difference.
 */
export function disagreements(job: string, round: Readonly<Record<string, Figures>>): string[] {
  const [ours, theirs] = [round.Moraine, round.PEFT ?? round.transformers];
  if (ours === undefined || theirs === undefined) return [];
  const problems: string[] = [];
  const tell = (what: string, a: number, b: number): void => {
    problems.push(`${job}: ${what} is ${a} here and ${b} there; the two did not compute the same.`);
  };
  if (Array.isArray(ours.decode_tokens) && Array.isArray(theirs.decode_tokens)) {
    const theirTokens: unknown[] = theirs.decode_tokens;
    const same = ours.decode_tokens.findIndex((token, i) => token !== theirTokens[i]);
    if (same >= 0 && same < 8)
      tell(`decoded token ${same + 1}`, Number(ours.decode_tokens[same]), Number(theirTokens[same]));
    return problems;
  }
  const [first, theirFirst] = [numberIn(ours, 'loss_first'), numberIn(theirs, 'loss_first')];
  if (Math.abs(first - theirFirst) > FIRST_LOSS_TOLERANCE) tell('the first loss', first, theirFirst);
  const [last, theirLast] = [numberIn(ours, 'loss_last10'), numberIn(theirs, 'loss_last10')];
  if (Math.abs(last - theirLast) > LAST_LOSSES_TOLERANCE * theirLast)
    tell('the mean of the last losses', last, theirLast);
  return problems;
}
