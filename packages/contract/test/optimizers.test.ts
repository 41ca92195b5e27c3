import { expect, test } from 'vitest';
import { OPTIMIZER_NAMES, OPTIMIZERS } from '../src/optimizers.js';
import { resolveOptimizer } from '../src/plan/index.js';
import { RunConfig } from '../src/run-config.js';
import { OptimizerRequest } from '../src/run-request.js';

const request = (keys: Record<string, unknown>) => OptimizerRequest.parse(keys);

test('keys that a request leaves out come from the row of its optimiser', () => {
  expect(resolveOptimizer(request({}), 2e-3)).toEqual({
    type: 'adamw',
    learning_rate: 2e-3,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 0,
    max_grad_norm: 1,
  });
  const other = { betas: [0.8, 0.7], eps: null, slots: 1, rate: 0.1 } as const;
  expect(resolveOptimizer(request({}), 1, other)).toMatchObject({ betas: [0.8, 0.7], eps: 0 });
});

test('keys that a request names are kept', () => {
  const named = { betas: [0.5, 0.6], eps: 1e-4, weight_decay: 0.1, max_grad_norm: 0 };
  expect(resolveOptimizer(request(named), 1)).toMatchObject(named);
});

test('decay goes with the learning rate unless a request says the schedule, and only that is stored', () => {
  expect(resolveOptimizer(request({ decay_with: 'schedule' }), 1)).toHaveProperty('decay_with', 'schedule');
  expect(resolveOptimizer(request({ decay_with: 'learning_rate' }), 1)).not.toHaveProperty('decay_with');
  expect(() => request({ decay_with: 'peak' })).toThrow();
});

test('an eps is refused where the optimiser has none', () => {
  const without = { ...OPTIMIZERS.adamw, eps: null };
  expect(() => resolveOptimizer(request({ eps: 1e-6 }), 1, without)).toThrow(
    expect.objectContaining({
      code: 'invalid_value',
      param: 'optimizer.eps',
      message: expect.stringContaining('0.000001'),
    }),
  );
});

test.each(OPTIMIZER_NAMES)('a request and a stored configuration may name %s', (type) => {
  expect(request({ type }).type).toBe(type);
  expect(RunConfig.shape.optimizer.parse(resolveOptimizer(request({ type }), 1)).type).toBe(type);
});
