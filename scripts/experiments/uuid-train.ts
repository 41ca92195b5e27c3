/** One cell: a training run from the base, decoded after the steps that were asked for. */
import { AppError } from '@moraine/contract';
import type { EncodedRow } from '@moraine/data';
import { device } from '@moraine/engine';
import {
  type Adapter,
  createMethod,
  createOptimizer,
  createTrainer,
  type ModelConfig,
  type TrainerOptions,
} from '@moraine/lm';
import type { Cell, CellPlan } from './uuid-cells.js';
import { EVALUATE_AT, LORA_ALPHA, type MethodName, OPTIMIZER, RANK, ROWS_PER_BATCH, schedule } from './uuid-config.js';
import { batchOf, decodeAll, type Recall, ROW_TOKENS, stepRows } from './uuid-data.js';

export interface CellBase {
  config: ModelConfig;
  weights: TrainerOptions['weights'];
  /** Every linear layer: q, k, v, o, gate, up and down of each block. */
  linears: readonly string[];
}

function adapterOf(method: MethodName, paths: readonly string[]): Adapter | null {
  switch (method) {
    case 'full':
      return null;
    case 'lora':
      return {
        method: createMethod({ type: 'lora', rank: RANK, alpha: LORA_ALPHA, use_rslora: false }),
        paths,
        dropout: 0,
      };
    case 'mora-1':
      return { method: createMethod({ type: 'mora', rank: RANK, mora_type: 1 }), paths, dropout: 0 };
    case 'mora-6':
      return { method: createMethod({ type: 'mora', rank: RANK, mora_type: 6 }), paths, dropout: 0 };
    default:
      return method satisfies never;
  }
}

/** Trains and decodes. A loss that is no number ends the cell and is its result; any other error is thrown. */
export async function runCell(
  plan: CellPlan,
  base: CellBase,
  rows: readonly EncodedRow[],
  say: (line: string) => void,
): Promise<Cell> {
  const begun = performance.now();
  const shapes = [{ batch: ROWS_PER_BATCH, time: ROW_TOKENS }];
  const trainer = await createTrainer({
    config: base.config,
    weights: base.weights,
    adapter: adapterOf(plan.method, base.linears),
    optimizer: createOptimizer({ type: 'adamw', ...OPTIMIZER }),
    schedule: schedule(plan.learningRate),
    seed: plan.seed,
    mode: 'plain',
    shapes,
    evaluation: shapes,
  });
  const { name, threads } = device();
  const recall: Record<string, Recall> = {};
  const losses: number[] = [];
  let diverged: string | undefined;
  try {
    while (trainer.steps < plan.steps) {
      const picked = stepRows(trainer.steps + 1, plan.seed, rows.length).map((row) => rows[row] as EncodedRow);
      const { step, loss } = trainer.step([batchOf(picked)]);
      losses.push(loss);
      const isDue = step === plan.steps || (plan.phase === 'final' && EVALUATE_AT.some((at) => at === step));
      if (!isDue) continue;
      const found = decodeAll(rows, (batch) => trainer.score(batch).best);
      recall[step] = found;
      say(`  step ${step}, loss ${loss.toFixed(4)}, characters ${found.characters.toFixed(1)} %`);
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'nan_loss') throw error;
    diverged = error.message;
  } finally {
    trainer.dispose();
  }
  const last = losses.slice(-10);
  return {
    ...plan,
    trainable: trainer.parameterCount,
    recall,
    loss: diverged === undefined ? last.reduce((sum, loss) => sum + loss, 0) / last.length : null,
    ...(diverged === undefined ? {} : { diverged }),
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    device: name,
    threads,
  };
}
