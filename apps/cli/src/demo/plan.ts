import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { CreateRunRequest } from '@moraine/contract';
import { inRepo } from '../paths.js';

export type TaskFile = 'train' | 'validation' | 'heldout' | 'newnames' | 'closedBook' | 'source';

export interface DemoFile {
  role: TaskFile;
  filename: string;
  purpose: 'fine-tune' | 'evals';
  content: Buffer;
}

/** One of the three runs: what it is called, and the keys that differ. */
export interface DemoMethod {
  label: string;
  suffix: string;
  adapter: NonNullable<CreateRunRequest['adapter']>;
  learningRate: number;
}

export interface DemoPlan {
  steps: number;
  batchSize: number;
  warmupSteps: number;
  files: DemoFile[];
  methods: DemoMethod[];
}

/**
 * All three have the same trainable-parameter budget, that of LoRA at rank 8. Learning rates: one each, low enough that the base does not
 * forget everything (docs/log.md has the grid).
 */
const METHODS: DemoMethod[] = [
  { label: 'LoRA', suffix: 'lora', adapter: { type: 'lora', rank: 8, alpha: 16 }, learningRate: 8e-4 },
  {
    label: 'MoRA rotation',
    suffix: 'mora-rotation',
    adapter: { type: 'mora', rank: 8, mora_type: 6 },
    learningRate: 1e-3,
  },
  {
    label: 'MoRA sharing',
    suffix: 'mora-sharing',
    adapter: { type: 'mora', rank: 8, mora_type: 1 },
    learningRate: 5e-4,
  },
];

const FILES: [role: TaskFile, filename: string, purpose: DemoFile['purpose']][] = [
  ['train', 'record-train.jsonl', 'fine-tune'],
  ['validation', 'record-validation.jsonl', 'fine-tune'],
  ['heldout', 'record-heldout.jsonl', 'evals'],
  ['newnames', 'record-newnames.jsonl', 'evals'],
  ['closedBook', 'closed-book.jsonl', 'evals'],
  ['source', 'source.jsonl', 'evals'],
];

/** Rows that the short form keeps of each file. It still trains and evaluates for real, only less. */
const SHORT_ROWS: Record<TaskFile, number> = {
  train: 360,
  validation: 24,
  heldout: 24,
  newnames: 24,
  closedBook: 24,
  source: 12,
};

/** What the demo does: 120 steps of 36 rows, or in short form a dozen smaller ones. */
export function demoPlan(isShort: boolean): DemoPlan {
  const files = FILES.map(([role, filename, purpose]): DemoFile => {
    const content = readFileSync(path.join(inRepo('examples', 'tasks'), filename));
    if (!isShort) return { role, filename, purpose, content };
    const rows = content.toString('utf8').split('\n').slice(0, SHORT_ROWS[role]);
    return { role, filename: `short-${filename}`, purpose, content: Buffer.from(`${rows.join('\n')}\n`) };
  });
  return isShort
    ? { steps: 15, batchSize: 24, warmupSteps: 2, files, methods: METHODS }
    : { steps: 120, batchSize: 36, warmupSteps: 10, files, methods: METHODS };
}

/** The request of one run; seed and files are the same in all, so they see the same rows in the same order. */
export function requestOf(
  plan: DemoPlan,
  method: DemoMethod,
  base: string,
  ids: Record<TaskFile, string>,
  seed: number,
) {
  const trainRows =
    plan.files
      .find(({ role }) => role === 'train')
      ?.content.toString('utf8')
      .trimEnd()
      .split('\n').length ?? 1;
  return {
    model: base,
    training_file: ids.train,
    validation_file: ids.validation,
    suffix: method.suffix,
    seed,
    metadata: { demo: 'moraine', method: method.suffix },
    method: {
      type: 'supervised' as const,
      supervised: { hyperparameters: { n_epochs: Math.ceil((plan.steps * plan.batchSize) / trainRows) } },
    },
    adapter: method.adapter,
    optimizer: { type: 'adamw' as const, learning_rate: method.learningRate, weight_decay: 0, max_grad_norm: 1 },
    schedule: { type: 'cosine' as const, warmup_steps: plan.warmupSteps },
    batch_size: plan.batchSize,
    max_steps: plan.steps,
    evaluation: {
      every_steps: Math.ceil(plan.steps / 3),
      files: [ids.heldout, ids.newnames, ids.closedBook, { file_id: ids.source, role: 'source' as const }],
      samples: 3,
    },
  } satisfies CreateRunRequest;
}
