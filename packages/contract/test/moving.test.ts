import { describe, expect, test } from 'vitest';
import { AppError, CreateRunRequest } from '../src/index.js';
import { translateJob } from '../src/moving/index.js';

// Jobs as the services document what their `retrieve` returns, in November 2026; their numbers are made up.

const OPENAI = {
  object: 'fine_tuning.job',
  id: 'ftjob-abc123',
  model: 'gpt-4o-mini-2024-07-18',
  created_at: 1721764800,
  finished_at: 1721768400,
  fine_tuned_model: 'ft:gpt-4o-mini-2024-07-18:my-org:tickets:7q8mpxmy',
  organization_id: 'org-123',
  result_files: ['file-res1'],
  status: 'succeeded',
  validation_file: 'file-val1',
  training_file: 'file-train1',
  hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1.8 },
  trained_tokens: 5768,
  error: {},
  user_provided_suffix: null,
  seed: 1588808397,
  estimated_finish: null,
  integrations: [{ type: 'wandb', wandb: { project: 'p', entity: null, tags: [] } }],
  metadata: { team: 'blue' },
  usage_metrics: null,
  shared_with_openai: false,
  eval_id: 'eval_9',
  method: {
    type: 'supervised',
    supervised: { hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1.8 } },
  },
};

const AZURE = {
  object: 'fine_tuning.job',
  id: 'ftjob-az1',
  model: 'gpt-35-turbo-0613',
  status: 'succeeded',
  created_at: 1700000000,
  updated_at: 1700009000,
  training_file: 'file-aztrain',
  fine_tuned_model: 'gpt-35-turbo-0613.ft-0123456789abcdef0123456789abcdef-desk',
  hyperparameters: { n_epochs: -1, batch_size: -1, learning_rate_multiplier: 1, prompt_loss_weight: 0.01 },
  seed: 7,
  trainingType: 'GlobalStandard',
};

const TOGETHER = {
  id: 'ft-5bf8990b-841d-4d63-a8a3-5248d73e045f',
  training_file: 'file-3b883474-f39c-40d9-9d5a-7f97ba9eeb9f',
  validation_file: '',
  model: 'meta-llama/Meta-Llama-3.1-8B-Instruct-Reference',
  model_output_name: 'jane/Meta-Llama-3.1-8B-Instruct-Reference-tickets-v2-8421144c',
  status: 'completed',
  user_id: 'u1',
  n_epochs: 4,
  n_checkpoints: 2,
  n_evals: 0,
  batch_size: 16,
  learning_rate: 1e-5,
  lr_scheduler: { lr_scheduler_type: 'cosine', lr_scheduler_args: { min_lr_ratio: 0.1, num_cycles: 0.5 } },
  warmup_ratio: 0.05,
  max_grad_norm: 1,
  weight_decay: 0.01,
  train_on_inputs: 'auto',
  training_method: { method: 'sft', train_on_inputs: false },
  training_type: {
    type: 'Lora',
    lora_r: 16,
    lora_alpha: 32,
    lora_dropout: 0.05,
    lora_trainable_modules: 'q_proj, v_proj',
  },
  wandb_project_name: 'p',
  events: [{ object: 'fine-tune-event', type: 'JOB_COMPLETE' }],
  token_count: 123,
  total_price: 5,
};

const FIREWORKS = {
  name: 'accounts/jane/supervisedFineTuningJobs/sft-1',
  displayName: 'Tickets',
  createTime: '2026-01-07T05:31:56Z',
  completedTime: '2026-01-07T06:31:56Z',
  dataset: 'accounts/jane/datasets/tickets',
  state: 'JOB_STATE_COMPLETED',
  status: { code: 'OK', message: '' },
  createdBy: 'jane@example.com',
  outputModel: 'accounts/jane/models/tickets-8b',
  baseModel: 'accounts/fireworks/models/llama-v3p1-8b-instruct',
  warmStartFrom: '',
  jinjaTemplate: '',
  earlyStop: true,
  epochs: 2,
  learningRate: 0.0001,
  maxContextLength: 8192,
  loraRank: 16,
  wandbConfig: { enabled: true, apiKey: 'a-secret', project: 'p' },
  evaluationDataset: 'accounts/jane/datasets/tickets-eval',
  isTurbo: true,
  evalAutoCarveout: false,
  region: 'US_IOWA_1',
  nodes: 1,
  batchSize: 65536,
  batchSizeSamples: 8,
  gradientAccumulationSteps: 0,
  learningRateWarmupSteps: 10,
  optimizerWeightDecay: 0.01,
  mtpEnabled: true,
};

const MISTRAL = {
  id: 'b18d8d81-fd7b-4764-a31e-475cb1f36591',
  auto_start: true,
  model: 'open-mistral-7b',
  status: 'SUCCESS',
  created_at: 1716300000,
  modified_at: 1716300600,
  training_files: ['a', 'b'],
  validation_files: ['c'],
  object: 'job',
  fine_tuned_model: 'ft:open-mistral-7b:daf5e488:20260521:b18d8d81',
  suffix: 'tickets',
  integrations: [],
  trained_tokens: 300000,
  metadata: { expected_duration_seconds: 120, cost: 4, cost_currency: 'EUR' },
  job_type: 'completion',
  hyperparameters: {
    training_steps: 100,
    learning_rate: 0.0001,
    weight_decay: 0.1,
    warmup_fraction: 0.05,
    epochs: 2.5,
    seq_len: 4096,
    fim_ratio: 0.9,
  },
  repositories: [],
};

const GIVEN = { base: 'tiny', hasValidation: true, contextMax: null as number | null };

describe.each([
  {
    provider: 'OpenAI',
    job: OPENAI,
    wanted: {
      method: { type: 'supervised', supervised: { hyperparameters: OPENAI.hyperparameters } },
      seed: 1588808397,
      suffix: 'tickets',
      metadata: { team: 'blue', moved_from: 'ftjob-abc123' },
    },
    dropped: ['integrations', 'eval_id'],
  },
  {
    provider: 'OpenAI',
    job: AZURE,
    wanted: {
      method: {
        type: 'supervised',
        supervised: { hyperparameters: { n_epochs: 'auto', batch_size: 'auto', learning_rate_multiplier: 1 } },
      },
      seed: 7,
      suffix: 'desk',
      metadata: { moved_from: 'ftjob-az1' },
    },
    dropped: ['hyperparameters.prompt_loss_weight', 'trainingType'],
  },
  {
    provider: 'Together',
    job: TOGETHER,
    wanted: {
      method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 4 } } },
      adapter: { type: 'lora', rank: 16, alpha: 32, dropout: 0.05, target_modules: ['q_proj', 'v_proj'] },
      batch_size: 16,
      optimizer: { learning_rate: 1e-5, weight_decay: 0.01, max_grad_norm: 1 },
      schedule: { type: 'cosine', min_ratio: 0.1, warmup_ratio: 0.05 },
      suffix: 'tickets-v2',
      metadata: { moved_from: TOGETHER.id },
    },
    dropped: ['wandb_project_name', 'n_evals', 'n_checkpoints'],
  },
  {
    provider: 'Fireworks',
    job: FIREWORKS,
    wanted: {
      method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2 } } },
      adapter: { type: 'lora', rank: 16 },
      batch_size: 8,
      optimizer: { learning_rate: 0.0001, weight_decay: 0.01 },
      schedule: { warmup_steps: 10 },
      max_seq_len: 8192,
      early_stopping: { patience: 3 },
      suffix: 'tickets-8b',
      metadata: { moved_from: 'sft-1' },
    },
    dropped: ['wandbConfig', 'batchSize', 'mtpEnabled'],
  },
  {
    provider: 'Mistral',
    job: MISTRAL,
    wanted: {
      method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 3 } } },
      max_steps: 100,
      max_seq_len: 4096,
      optimizer: { learning_rate: 0.0001, weight_decay: 0.1 },
      schedule: { warmup_ratio: 0.05 },
      suffix: 'tickets',
      metadata: { moved_from: MISTRAL.id },
    },
    dropped: ['hyperparameters.fim_ratio', 'training_files'],
  },
])('a job of $provider ($job.id)', ({ provider, job, wanted, dropped }) => {
  const translated = translateJob(job, GIVEN);

  test('is the same run here, which the API takes', () => {
    expect(translated.provider).toBe(provider);
    expect(JSON.parse(JSON.stringify(translated.request))).toEqual({ model: 'tiny', ...wanted });
    expect(CreateRunRequest.safeParse({ ...translated.request, training_file: 'file-a' }).error).toBeUndefined();
  });

  test('says of each key that stays behind why, and of each other that is a setting what it is here', () => {
    expect(translated.dropped.map(({ key }) => key).sort()).toEqual(dropped.toSorted());
    for (const { text } of translated.dropped) expect(text).toMatch(/[a-z]{3,} [a-z]+/);
    const keys = translated.kept.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toContain(provider === 'Fireworks' ? 'baseModel' : 'model');
    expect(JSON.stringify(translated)).not.toContain('a-secret');
  });
});

describe('of a job', () => {
  const lines = (job: object, given = GIVEN) => {
    const { kept, dropped, request } = translateJob(job, given);
    return {
      request,
      kept: Object.fromEntries(kept.map(Object.values)),
      dropped: Object.fromEntries(dropped.map(Object.values)),
    };
  };

  test('without rows for validation, the validation file and what needs it stay behind', () => {
    const bare = { ...GIVEN, hasValidation: false };
    expect(lines(OPENAI, bare).dropped.validation_file).toBe('file-val1: give its rows with --validation-file');
    const { kept, dropped, request } = lines(FIREWORKS, bare);
    expect(request).not.toHaveProperty('early_stopping');
    expect([kept.earlyStop, dropped.earlyStop]).toEqual([undefined, expect.stringContaining('--validation-file')]);
  });

  test.each([
    [FIREWORKS, 'maxContextLength'],
    [MISTRAL, 'hyperparameters.seq_len'],
  ])('%#: whose longest row is longer than the base reads says so, and takes what the base reads', (job, key) => {
    const { kept, dropped, request } = lines(job, { ...GIVEN, contextMax: 256 });
    expect(request).not.toHaveProperty('max_seq_len');
    expect([kept[key], dropped[key]]).toEqual([undefined, expect.stringContaining('tiny reads at most 256 tokens')]);
    expect(lines(job, { ...GIVEN, contextMax: 1e6 }).request).toHaveProperty('max_seq_len');
  });

  test('from before `method`, the older keys count, and a key that nobody knows is named', () => {
    const { method, ...older } = OPENAI;
    const { request, dropped } = lines({ ...older, compute_tier: 'gold', empty: {} });
    expect(request.method).toEqual(method);
    expect(dropped).toMatchObject({ compute_tier: 'gold: has no counterpart here' });
    expect(dropped).not.toHaveProperty('empty');
  });

  test('a value out of bounds stays behind with the bounds', () => {
    const { request, dropped } = lines({ ...TOGETHER, n_epochs: 80, batch_size: 'max', learning_rate: 'fast' });
    expect(request.method).toEqual({ type: 'supervised', supervised: { hyperparameters: {} } });
    expect(request).not.toHaveProperty('batch_size');
    expect(dropped).toMatchObject({
      n_epochs: '80: a number from 1 to 50 is taken here',
      batch_size: expect.stringContaining('--batch-size'),
      learning_rate: expect.stringContaining('fast: a number'),
    });
  });

  test('that trained every weight trains every weight here, and an older one of Together is read flat', () => {
    expect(lines({ ...TOGETHER, training_type: { type: 'Full' } }).request.adapter).toEqual({ type: 'none' });
    const { training_type: _, ...flat } = TOGETHER;
    expect(lines({ ...flat, lora: true, lora_r: 4, lora_alpha: 8 }).request.adapter).toEqual({
      type: 'lora',
      rank: 4,
      alpha: 8,
    });
    expect(lines({ ...flat, lora: false }).request.adapter).toEqual({ type: 'none' });
  });

  test('a wave that falls more than once, prompts that are learned and zeros of proto3 are not taken for what they are not', () => {
    const wave = { lr_scheduler_type: 'cosine', lr_scheduler_args: { min_lr_ratio: 0, num_cycles: 2 } };
    const method = { method: 'sft', train_on_inputs: true };
    const { dropped } = lines({ ...TOGETHER, lr_scheduler: wave, training_method: method });
    expect(Object.keys(dropped)).toEqual(
      expect.arrayContaining(['lr_scheduler.lr_scheduler_args.num_cycles', 'training_method.train_on_inputs']),
    );
    const { request } = lines({ ...FIREWORKS, epochs: 0, loraRank: 0, learningRate: 0 });
    expect(request).not.toHaveProperty('adapter');
    expect(request.optimizer).toEqual({ weight_decay: 0.01 });
  });

  test('pairs that are full, or hold the origin already, stay as they are', () => {
    const full = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, 'v']));
    expect(lines({ ...OPENAI, metadata: full }).request.metadata).toEqual(full);
    expect(lines({ ...OPENAI, metadata: { moved_from: 'x' } }).request.metadata).toEqual({ moved_from: 'x' });
  });
});

test.each([
  [{ ...OPENAI, method: { type: 'dpo', dpo: { hyperparameters: {} } } }, 'unsupported_method', "of the method 'dpo'"],
  [{ ...TOGETHER, training_method: { method: 'dpo' } }, 'unsupported_method', "of the method 'dpo'"],
  [{ ...FIREWORKS, name: 'accounts/jane/dpoJobs/1' }, 'unsupported_method', 'one of dpoJobs'],
  [{ ...MISTRAL, job_type: 'classifier' }, 'unsupported_method', "of the type 'classifier'"],
  [{ object: 'list', data: [OPENAI] }, 'invalid_value', 'a list of jobs'],
  [{ object: 'model', id: 'x' }, 'invalid_value', 'no fine-tuning job'],
  ['text', 'invalid_value', 'no fine-tuning job'],
])('%#: what is no supervised job is refused as what it is', (job, code, message) => {
  const read = () => translateJob(job, GIVEN);
  expect(read).toThrow(AppError);
  expect(read).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
});
