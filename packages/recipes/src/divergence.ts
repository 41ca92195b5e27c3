import { AppError } from '@moraine/contract';
import { median } from '@moraine/contract/stats';
import type { StepResult } from '@moraine/lm';
import { shown } from './explain-step.js';

/** Steps, and supervised tokens, of a window at least: one batch decides nothing, nor do a few tokens. */
const STEPS = 8;
const TOKENS = 256;
/** So many times the loss of guessing is where no base starts and only updates lead; the second where the first step has too few tokens to tell where it started. */
const BEYOND = [3, 10] as const;

/** Watches the training loss of a run. */
export interface LossWatch {
  /** @throws AppError `loss_diverged`. */
  saw(step: Pick<StepResult, 'step' | 'loss' | 'gradNorm' | 'learningRate'>): void;
}

/**
 * Ends a run that diverged although its loss is a number. The median loss of its last steps is above twice its beginning and a nat, and
 * - above three times that of guessing, ln V nats for a vocabulary of V (ten times in steps of a few tokens); or
 * - above that of guessing, and not lower than that of as many steps before. As the beginning then counts the higher of the first step and the first steps, as the first
 *   rows may be easy ones.
 * A loss that starts there, as that of random weights, ends no run.
 * @param tokensPerStep supervised tokens of a step on average, which decide how many steps are looked at together
 * @param losses those up to where the run goes on, so that it ends where it would have ended without a stop
 */
export function watchLoss(vocabSize: number, tokensPerStep: number, losses: readonly number[] = []): LossWatch {
  const seen = [...losses];
  const window = Math.max(STEPS, Math.ceil(TOKENS / Math.max(1, tokensPerStep)));
  const guessing = Math.log(vocabSize);
  const beyond = BEYOND[tokensPerStep < TOKENS / STEPS ? 1 : 0];
  const isFar = (start: number, end: number): boolean => end > 2 * start + 1;
  return {
    saw({ step, loss, gradNorm, learningRate }) {
      seen.push(loss);
      if (seen.length < 2 * window) return;
      const [before, end] = [median(seen.slice(-2 * window, -window)), median(seen.slice(-window))];
      const [first, early] = [seen[0] ?? loss, median(seen.slice(0, window))];
      const isBeyond = isFar(first, end) && end > beyond * guessing;
      const rises = isFar(Math.max(first, early), end) && end > guessing && end >= before;
      if (!isBeyond && !rises) return;
      const rose = `rose from ${shown(first)} to ${shown(end)} nats a token, where guessing among ${vocabSize} tokens is ${shown(guessing)}`;
      throw new AppError(
        'loss_diverged',
        `Step ${step}: the training loss ${rose}; gradient norm ${shown(gradNorm)}, learning rate ${learningRate}.`,
        {
          hint: 'Lower the learning rate, lengthen the warm-up or clip gradients; checkpoints of before are unharmed.',
        },
      );
    },
  };
}
