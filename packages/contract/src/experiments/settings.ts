import { OPTIMIZERS } from '../optimizers.js';
import type { RunConfig } from '../run-config.js';

/**
 * Optimiser and what holds training back, in words that are equal where the settings are: `adamw, weight_decay 0.1`. The learning rate is no part of it, nor is what is as it is by default.
 */
export function settingsOf({
  optimizer,
  attention_dropout: dropout = 0,
  regularize,
}: Pick<RunConfig, 'optimizer' | 'attention_dropout' | 'regularize'>): string {
  const { type, betas, eps, weight_decay: decay, decay_with: decayWith, max_grad_norm: norm } = optimizer;
  const usual = OPTIMIZERS[type].betas;
  const kl = regularize?.kl_to_base ?? 0;
  return [
    type,
    ...(betas.join() === usual.join() ? [] : [`betas ${betas.join(' ')}`]),
    ...(eps === undefined || eps === 1e-8 ? [] : [`eps ${eps}`]),
    ...(decay === 0 ? [] : [`weight_decay ${decay}`]),
    ...(decay === 0 || (decayWith ?? 'learning_rate') === 'learning_rate' ? [] : [`decay_with ${decayWith}`]),
    ...(norm === 1 ? [] : [`max_grad_norm ${norm}`]),
    ...(dropout === 0 ? [] : [`attention_dropout ${dropout}`]),
    ...(kl === 0 ? [] : [`kl_to_base ${kl} on ${regularize?.on}`]),
  ].join(', ');
}
