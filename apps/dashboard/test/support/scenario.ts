import {
  CheckpointObject,
  EvaluationObject,
  EventObject,
  type LogLine,
  type RunConfig,
  RunObject,
  WorkerObject,
} from '@moraine/contract';

/** Contract-valid objects, every one parsed by its own schema, from a seeded generator: the same page every time. */
export const NOW = Math.floor(Date.now() / 1000);

export const id = (prefix: string, at: number): string =>
  `${prefix}${at.toString(36).padStart(4, '0')}${'q7x2m9c4v8b1n6k3j5h0'}`;

/** A small reproducible noise source in [-1, 1] (mulberry32). */
export function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) / 4294967296) * 2 - 1;
  };
}

const modules = (layers: number): string[] =>
  Array.from({ length: layers }, (_, layer) =>
    [
      'self_attn.q_proj',
      'self_attn.k_proj',
      'self_attn.v_proj',
      'self_attn.o_proj',
      'mlp.gate_proj',
      'mlp.up_proj',
      'mlp.down_proj',
    ].map((name) => `model.layers.${layer}.${name}`),
  ).flat();

const ADAPTERS: RunConfig['adapter'][] = [
  { type: 'lora', rank: 8, alpha: 16, use_rslora: false, dropout: 0, target_modules: modules(4) },
  { type: 'mora', rank: 8, mora_type: 6, dropout: 0, target_modules: modules(4) },
  { type: 'mora', rank: 8, mora_type: 1, dropout: 0, target_modules: modules(4) },
  { type: 'none' },
];

export interface RunOptions {
  status?: RunObject['status'];
  state?: RunObject['state'];
  reason?: RunObject['state_reason'];
  verdict?: RunObject['verdict'];
  suffix?: string | null;
  steps?: number;
  step?: number;
  method?: number;
  attempts?: RunObject['attempts'];
  error?: RunObject['error'];
  ageS?: number;
}

export function makeRun(at: number, options: RunOptions = {}): RunObject {
  const status = options.status ?? 'succeeded';
  const steps = options.steps ?? 150;
  const step = options.step ?? (status === 'succeeded' ? steps : status === 'queued' ? 0 : Math.floor(steps * 0.6));
  const adapter = ADAPTERS[options.method ?? at % ADAPTERS.length] ?? { type: 'none' };
  const createdAt = NOW - (options.ageS ?? 60 + at * 97);
  const isEnded = ['succeeded', 'failed', 'cancelled'].includes(status);
  const hasStarted = status !== 'queued' && status !== 'validating_files';
  const learningRate = adapter.type === 'none' ? 3e-4 : adapter.type === 'lora' ? 2e-3 : 1e-3;
  const kinds =
    status !== 'succeeded'
      ? []
      : adapter.type === 'none'
        ? (['merged'] as const)
        : (['adapter', 'peft', 'merged'] as const);
  return RunObject.parse({
    id: id('ftjob-', at),
    object: 'fine_tuning.job',
    created_at: createdAt,
    started_at: hasStarted ? createdAt + 2 : null,
    finished_at: isEnded ? createdAt + 2 + Math.ceil(step * 0.4) : null,
    model: 'moraine-tiny-1m',
    fine_tuned_model:
      status === 'succeeded'
        ? `ft:moraine-tiny-1m:default:${options.suffix ?? ''}:${at.toString(36).padStart(8, '0')}`
        : null,
    organization_id: 'default',
    status,
    hyperparameters: { n_epochs: 3, batch_size: 16, learning_rate_multiplier: 'auto' },
    training_file: id('file-', 1),
    validation_file: id('file-', 2),
    result_files: [],
    trained_tokens: isEnded ? step * 1180 : null,
    error: options.error ?? null,
    seed: 7,
    estimated_finish: status === 'running' ? NOW + Math.ceil((steps - step) * 0.4) : null,
    integrations: [],
    method: { type: 'supervised', supervised: { hyperparameters: {} } },
    metadata: { demo: '1', team: at % 2 ? 'blue' : 'green' },
    suffix:
      options.suffix === undefined
        ? `${['lora', 'rotation', 'sharing', 'full'][options.method ?? at % 4]}-seed-${at}`
        : options.suffix,
    state: options.state ?? null,
    state_reason: options.reason ?? null,
    verdict: options.verdict ?? null,
    config: {
      base: 'moraine-tiny-1m',
      adapter,
      optimizer: {
        type: 'adamw',
        learning_rate: learningRate,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0,
        max_grad_norm: 1,
      },
      schedule: { type: 'cosine', warmup_steps: 5, min_ratio: 0 },
      n_epochs: 3,
      steps,
      batch_size: 16,
      accumulation: 1,
      max_seq_len: 256,
      over_length: 'truncate',
      packing: true,
      mode: 'plain',
      evaluation: { every_steps: 15, files: [id('file-', 3), id('file-', 4)], samples: 3 },
      checkpoint: { every_steps: 0, every_seconds: 60, keep_last: 3 },
      seed: 7,
      trainable_parameters: adapter.type === 'none' ? 1_312_768 : 57_344,
    },
    progress: {
      step,
      steps,
      trained_tokens: step * 1180,
      tokens_per_second: step > 0 ? 2950 + (at % 7) * 31 : null,
      train_loss: step > 0 ? lossAt(step, steps) : null,
      seconds_remaining: status === 'running' ? (steps - step) * 0.4 : null,
      seconds_remaining_range: status === 'running' ? [(steps - step) * 0.36, (steps - step) * 0.46] : null,
    },
    attempts:
      options.attempts ??
      (hasStarted
        ? [
            makeAttempt({
              finished_at: isEnded ? createdAt + 2 + Math.ceil(step * 0.4) : null,
              started_at: createdAt + 2,
              status: isEnded ? 'finished' : 'running',
            }),
          ]
        : []),
    pool: 'default',
    priority: 50,
    resume_check: null,
    result_step: status === 'succeeded' ? step : null,
    exports: kinds,
    downloads: kinds.map(makeDownload),
  });
}

export const makeDownload = (kind: 'adapter' | 'peft' | 'merged'): RunObject['downloads'][number] => ({
  format: kind === 'adapter' ? 'native' : kind,
  bytes: kind === 'merged' ? 2_625_536 : 229_376,
  stored: kind !== 'merged',
  parity: { prompts: 4, tokens: 128, max_logit_difference: 2.1e-6, max_logit: 19.4, top1_agreement: 1 },
  rounding:
    kind === 'merged'
      ? { dtype: 'BF16', share: 0.031, worst: 0.05, worst_weight: 'model.layers.1.mlp.up_proj.weight' }
      : null,
  notes: [],
  problem: null,
});

export const makeAttempt = (part: Partial<RunObject['attempts'][number]> = {}): RunObject['attempts'][number] => ({
  attempt: 1,
  status: 'running',
  worker_id: id('wrk_', 1),
  started_at: NOW - 100,
  finished_at: null,
  start_step: 0,
  cause: null,
  message: null,
  ...part,
});

export const lossAt = (step: number, steps: number): number => 0.42 + 3.1 * Math.exp((-7 * step) / steps);

/** The values of one step as a trainer sends them. */
export function valuesAt(step: number, steps: number, random: () => number): Record<string, number> {
  const warm = Math.min(1, step / 5);
  const values: Record<string, number> = {
    train_loss: lossAt(step, steps) * (1 + 0.12 * random()),
    learning_rate: 2e-3 * warm * 0.5 * (1 + Math.cos((Math.PI * step) / steps)),
    grad_norm: 0.55 + 1.6 * Math.exp((-9 * step) / steps) + 0.2 * Math.abs(random()),
    tokens_per_second: 2950 * (1 + 0.05 * random()),
    step_ms: 400 * (1 + 0.05 * random()),
    trained_tokens: step * 1180,
  };
  if (step === 1 || step % Math.max(1, Math.round(steps / 10)) === 0) values.valid_loss = lossAt(step, steps) * 1.06;
  return values;
}

export const makeEvent = (at: number, message: string, level: 'info' | 'warn' | 'error' = 'info'): EventObject =>
  EventObject.parse({
    object: 'fine_tuning.job.event',
    id: id('ftevent-', at),
    created_at: NOW - 100 + at,
    level,
    message,
    type: 'message',
    data: {},
  });

export const makeCheckpoint = (runId: string, step: number): CheckpointObject =>
  CheckpointObject.parse({
    id: id('ftckpt_', step),
    object: 'fine_tuning.job.checkpoint',
    created_at: NOW - 50,
    step_number: step,
    fine_tuned_model_checkpoint: `ft:moraine-tiny-1m:default:lora:0000abcd:ckpt-step-${step}`,
    fine_tuning_job_id: runId,
    metrics: { train_loss: 0.5123, full_valid_loss: 0.5511 },
    bytes: 1_482_233,
    sha256: 'a3f1c0de'.repeat(8),
    is_best: false,
  });

export const makeEvaluation = (
  runId: string,
  at: number,
  step: number,
  name: string,
  loss: number,
  exact: number,
  role: EvaluationObject['role'] = 'target',
): EvaluationObject =>
  EvaluationObject.parse({
    id: id('eval_', at),
    object: 'evaluation',
    created_at: NOW - 40,
    run_id: runId,
    file_id: id('file-', name.length),
    name,
    role,
    step,
    rows: 128,
    supervised_tokens: 3904,
    loss,
    bits_per_byte: loss / 3,
    token_accuracy: 1 - loss / 6,
    exact_match: exact,
    kl_to_base: null,
    samples: [
      {
        prompt: 'Mara gave Oskar a green kite at the harbour.',
        expected: '{"giver":"Mara","item":"kite"}',
        generated: step > 0 ? '{"giver":"Mara","item":"kite"}' : 'Oskar smiled and thanked her.',
      },
      {
        prompt: 'At the mill, Ines handed Tom two apples.',
        expected: '{"giver":"Ines","item":"apples"}',
        generated: step > 0 ? '{"giver":"Ines","item":"apple"}' : '',
      },
    ],
  });

export const makeWorker = (at: number, part: Partial<WorkerObject> = {}): WorkerObject =>
  WorkerObject.parse({
    id: id('wrk_', at),
    object: 'worker',
    name: `worker-${at}`,
    pool: 'default',
    status: 'ready',
    status_reason: null,
    host: 'builder',
    pid: 4100 + at,
    version: '0.1.0',
    device: { kind: 'cpu', name: 'AMD EPYC 7763 64-Core', tensorflow: '2.21.0', bfloat16: null },
    cores: 2,
    memory_bytes: 8_342_441_984,
    started_at: NOW - 4000,
    heartbeat_at: NOW - 2,
    heartbeat_age_s: 1.8,
    run_id: null,
    task_id: null,
    attempt: null,
    ...part,
  });

export const makeLog = (seq: number, attempt = 1): LogLine => ({
  seq,
  attempt,
  at: NOW - 200 + seq,
  level: seq % 97 === 96 ? 'error' : seq % 31 === 30 ? 'warn' : 'info',
  message:
    seq % 97 === 96
      ? `step ${seq}: could not write checkpoint, trying again: ENOSPC`
      : `step ${seq} loss ${lossAt(seq, 400).toFixed(4)} 2,951 tokens/s`,
});
