import { newId, type RunConfig } from '@moraine/contract';
import type { Services } from '../src/ground/context.js';
import { registerWorker } from '../src/work/register-worker.js';

export const config: RunConfig = {
  base: 'tiny',
  adapter: {
    type: 'lora',
    rank: 4,
    alpha: 8,
    use_rslora: false,
    dropout: 0,
    target_modules: ['model.layers.0.self_attn.q_proj'],
  },
  optimizer: { type: 'adamw', learning_rate: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 1 },
  schedule: { type: 'constant', warmup_steps: 0, min_ratio: 0 },
  n_epochs: 1,
  learning_rate_multiplier: 1,
  steps: 100_000,
  batch_size: 8,
  accumulation: 2,
  max_seq_len: 64,
  over_length: 'truncate',
  packing: true,
  mode: 'plain',
  evaluation: { every_steps: 0, files: [], samples: 0 },
  checkpoint: { every_steps: 10, every_seconds: 0, keep_last: 2 },
  seed: 1,
  trainable_parameters: 10,
};

export interface Seeded {
  projectId: string;
  baseId: string;
  fileId: string;
}

/** A project with a base and a file, as rows: these tests are about what happens after a run exists. */
export async function seedProject(s: Services): Promise<Seeded> {
  const [projectId, baseId, fileId] = [newId('project'), newId('base'), newId('file')];
  await s.db.project.create({ data: { id: projectId, name: projectId } });
  await s.db.base.create({
    data: {
      id: baseId,
      projectId,
      name: 'tiny',
      blobPrefix: 'bases/tiny',
      sha256: '0',
      sizeBytes: 1,
      config: {},
      parameters: 1,
      context: 64,
    },
  });
  await s.db.file.create({
    data: {
      id: fileId,
      projectId,
      filename: 'train.jsonl',
      purpose: 'fine-tune',
      sizeBytes: 1,
      sha256: '0',
      blobKey: `files/${fileId}`,
      status: 'processed',
    },
  });
  return { projectId, baseId, fileId };
}

export interface RunOptions {
  priority?: number;
  pool?: string;
  maxAttempts?: number;
  config?: Partial<RunConfig>;
}

/** A queued run; answers its id. */
export async function seedRun(
  s: Services,
  { projectId, baseId, fileId }: Seeded,
  options: RunOptions = {},
): Promise<string> {
  const id = newId('run');
  const resolved = { ...config, ...options.config };
  await s.db.task.create({
    data: {
      id,
      kind: 'train',
      projectId,
      status: 'queued',
      priority: options.priority ?? 50,
      pool: options.pool ?? 'default',
      maxAttempts: options.maxAttempts ?? 10,
    },
  });
  await s.db.run.create({
    data: {
      id,
      projectId,
      baseId,
      trainingFileId: fileId,
      request: {},
      requestHash: '',
      config: resolved,
      seed: 1,
      steps: resolved.steps,
    },
  });
  return id;
}

/** The columns of a run and of its task. */
export async function wholeRun(s: Services, id: string) {
  const { task, ...run } = await s.db.run.findUniqueOrThrow({ where: { id }, include: { task: true } });
  return { ...task, ...run };
}

export const seedWorker = (s: Services, pool = 'default', name = 'w'): Promise<string> =>
  registerWorker(s, {
    name,
    pool,
    host: 'test',
    pid: process.pid,
    version: '0',
    device: { kind: 'cpu', name: 'cpu', tensorflow: null, bfloat16: null },
    cores: 1,
    memoryBytes: 1,
  });
