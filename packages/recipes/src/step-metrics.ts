import type { CheckpointMetrics, MetricValues } from '@moraine/contract';
import type { Evaluation, StepResult } from '@moraine/lm';

/** Share of a step's supervised tokens that were the likeliest. */
export const accuracyOf = ({ correctTokens, supervisedTokens }: StepResult): number => correctTokens / supervisedTokens;

const validValues = ({ loss, tokenAccuracy }: Evaluation) => ({
  valid_loss: loss,
  valid_mean_token_accuracy: tokenAccuracy,
});

/** How far the model is from its base, and what each role's rows lose, where that is measured. */
const measures = (step: StepResult, valid: Evaluation | null): MetricValues => ({
  ...(step.klToBase === undefined ? {} : { kl_to_base: step.klToBase }),
  ...(step.lossByRole && { train_loss_target: step.lossByRole.target, train_loss_source: step.lossByRole.source }),
  ...(valid?.klToBase === undefined ? {} : { valid_kl_to_base: valid.klToBase }),
});

/** What is measured around a step. */
interface Measured {
  /** Of the step, and of the run up to it; without padding. */
  tokens: number;
  trainedTokens: number;
  stepMs: number;
  /** Resident memory after the step, before any validation. */
  memoryMb: number;
}

/** The metrics of a step; `valid` where the validation file was evaluated after it. */
export function stepValues(step: StepResult, valid: Evaluation | null, measured: Measured): MetricValues {
  const { tokens, trainedTokens, stepMs, memoryMb } = measured;
  return {
    train_loss: step.loss,
    train_mean_token_accuracy: accuracyOf(step),
    learning_rate: step.learningRate,
    grad_norm: step.gradNorm,
    tokens_per_second: (1000 * tokens) / stepMs,
    supervised_tokens: step.supervisedTokens,
    step_ms: stepMs,
    memory_mb: memoryMb,
    trained_tokens: trainedTokens,
    ...measures(step, valid),
    ...(valid === null ? {} : validValues(valid)),
  };
}

/** The metrics that a checkpoint after the step is listed with. */
export function checkpointMetrics(step: StepResult, valid: Evaluation | null): CheckpointMetrics {
  const train = { train_loss: step.loss, train_mean_token_accuracy: accuracyOf(step) };
  if (valid === null) return train;
  const { loss, tokenAccuracy } = valid;
  return { ...train, ...validValues(valid), full_valid_loss: loss, full_valid_mean_token_accuracy: tokenAccuracy };
}
