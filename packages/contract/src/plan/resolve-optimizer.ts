import type { z } from 'zod';
import { AppError } from '../errors.js';
import { OPTIMIZERS, type OptimizerRow } from '../optimizers.js';
import type { RunConfig } from '../run-config.js';
import type { OptimizerRequest } from '../run-request.js';

/**
 * An optimiser's keys with the defaults of its row.
 * @throws AppError `invalid_value` for an `eps` where the optimiser has none.
 */
export function resolveOptimizer(
  request: z.output<typeof OptimizerRequest>,
  learningRate: number,
  row: OptimizerRow = OPTIMIZERS[request.type],
): RunConfig['optimizer'] {
  const { type, eps, weight_decay, decay_with, max_grad_norm } = request;
  if (row.eps === null && eps !== undefined) {
    throw new AppError('invalid_value', `'optimizer.eps' is ${eps}, but ${type} has no eps.`, {
      param: 'optimizer.eps',
      hint: 'Leave it out.',
    });
  }
  const [beta1, beta2] = request.betas ?? row.betas;
  return {
    type,
    learning_rate: learningRate,
    betas: [beta1, beta2],
    eps: eps ?? row.eps ?? 0,
    weight_decay,
    ...(decay_with === 'schedule' ? { decay_with } : {}),
    max_grad_norm,
  };
}
