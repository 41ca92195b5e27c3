import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import {
  ADAPTED,
  defineMethod,
  type MatchTargets,
  RANK_DEFAULT,
  RESTART_KEYS,
  RESTART_VALUE,
  resolveAdapted,
  resolveRestart,
  restartedExport,
  restartKept,
  sumOf,
  tooLargeRank,
} from './method.js';
import {
  PEFT,
  readCount,
  readDropout,
  readNumber,
  restartedForm,
  type StoredForm,
  type StoredJson,
  type StoredOptions,
  unsupported,
} from './stored.js';

/** Request keys of LoRA and of the methods that are a LoRA inside. */
export const LORA_KEYS = {
  alpha: z
    .number()
    .positive()
    .optional()
    .describe(
      'Numerator of the scale of LoRA, DoRA, PiSSA and GraLoRA; the update is multiplied by alpha / rank. Default 2 x rank. Refused for methods without a scale.',
    ),
  use_rslora: z
    .boolean()
    .optional()
    .describe('Scale by alpha / sqrt(rank) instead of alpha / rank. LoRA, DoRA and PiSSA. Default false.'),
  lora_plus_ratio: z
    .number()
    .min(1)
    .max(1000)
    .optional()
    .describe('LoRA+: the learning rate of B as a multiple of that of A. LoRA, DoRA and PiSSA. Default 1.'),
};

/** Their resolved form, with the keys of every adapter. */
export const LORA_VALUES = {
  rank: z.int(),
  alpha: z.number(),
  use_rslora: z.boolean(),
  /** Present where another than 1 was asked for. */
  lora_plus_ratio: z.number().optional(),
  ...ADAPTED,
};

const LoraConfig = z.strictObject({
  type: z.literal('lora'),
  ...LORA_VALUES,
  /** Present where it was asked for: A is random with orthonormal rows, and not trained. */
  init: z.literal('asymmetric').optional(),
  ...RESTART_VALUE,
});
export type LoraConfig = z.output<typeof LoraConfig>;

type LoraRequest = Parameters<typeof resolveAdapted>[0] & {
  rank?: number | undefined;
  alpha?: number | undefined;
  use_rslora?: boolean | undefined;
  lora_plus_ratio?: number | undefined;
};

/** The keys of `LORA_VALUES` with their defaults. @throws AppError for a rank that a layer is too small for. */
export function resolveLora(request: LoraRequest, match: MatchTargets) {
  const rank = request.rank ?? RANK_DEFAULT;
  const { layers, adapted } = resolveAdapted(request, match);
  refuseHighRank(rank, layers);
  const { alpha = 2 * rank, use_rslora = false, lora_plus_ratio: ratio = 1 } = request;
  return { rank, alpha, use_rslora, ...(ratio === 1 ? {} : { lora_plus_ratio: ratio }), ...adapted };
}

export const lora = defineMethod({
  type: 'lora',
  spellings: [],
  isDefault: true,
  name: 'LoRA',
  keys: {
    ...LORA_KEYS,
    ...RESTART_KEYS,
    init: z
      .enum(['kaiming', 'asymmetric'])
      .optional()
      .describe(
        'How A starts: `kaiming` at random and trained, `asymmetric` with orthonormal rows and frozen (AsyLoRA, which trains B alone). LoRA only. Default kaiming.',
      ),
  },
  shared: ['rank', 'dropout', 'target_modules'],
  config: LoraConfig,
  resolve: (request, match) => ({
    type: 'lora',
    ...resolveLora(request, match),
    ...(request.init === 'asymmetric' ? { init: 'asymmetric' as const } : {}),
    ...resolveRestart(request),
  }),
  trainableParameters: ({ rank, init }, layers) =>
    sumOf(layers, ({ inDim, outDim }) => (init === 'asymmetric' ? outDim : inDim + outDim) * rank),
  keptParameters: (config, layers) =>
    restartKept(config, layers) +
    (config.init === 'asymmetric' ? sumOf(layers, ({ inDim }) => inDim * config.rank) : 0),
  learningRate: () => 1,
  variants: [{ spelling: 'lora', request: { type: 'lora' } }],
  kind: () => '',
  label: ({ rank, restart }) => `${restart === undefined ? '' : 're'}lora r${rank}`,
  color: 'lora',
  withoutExport: ({ restart }, format) => (restart === undefined ? null : restartedExport(format)),
});

/** What a PEFT configuration may ask for that changes the result and is not done here. */
const REFUSED: readonly (readonly [key: string, isAsked: (value: unknown) => boolean, what: string])[] = [
  ['bias', (value) => value !== undefined && value !== 'none', 'trained biases are not read'],
  ['lora_bias', (value) => value === true, 'trained biases are not read'],
  ['fan_in_fan_out', (value) => value === true, 'transposed layers occur in none of the families'],
  ['layer_replication', (value) => Array.isArray(value) && value.length > 0, 'repeated layers are not read'],
  ['use_qalora', (value) => value === true, 'QALoRA is not read'],
  ['alora_invocation_tokens', (value) => Array.isArray(value), 'an adapter that some tokens switch on is not read'],
  ['target_parameters', (value) => Array.isArray(value) && value.length > 0, 'only linear layers are read'],
  ['trainable_token_indices', (value) => value !== undefined && value !== null, 'trained tokens are not read'],
  [
    'init_lora_weights',
    (value) => typeof value === 'string' && /^(pissa|olora|corda|loftq|lora_ga)/.test(value),
    'it changed the base; save it as a plain LoRA first',
  ],
];

/** Rank and scale of a LoRA, or of what is one inside, in PEFT's layout. */
export function loraOptions(json: StoredJson, file: string) {
  for (const [key, isAsked, what] of REFUSED)
    if (isAsked(json[key])) throw unsupported(file, `${key} is ${JSON.stringify(json[key])}: ${what}`);
  return {
    rank: readCount(file, json, 'r'),
    alpha: readNumber(file, json, 'lora_alpha'),
    use_rslora: json.use_rslora === true,
    dropout: readDropout(json, 'lora_dropout'),
  };
}

/** The key of a PEFT configuration by which layers differ in rank or scale. */
export const unevenKey = (json: StoredJson): string | undefined =>
  ['rank_pattern', 'alpha_pattern'].find(
    (key) => Object.keys((json[key] as object | null | undefined) ?? {}).length > 0,
  );

/** A run has one rank and one alpha. */
export function unevenLora(json: StoredJson): string | null {
  const key = unevenKey(json);
  return key === undefined ? null : `${key} gives some layers a rank or alpha of their own, and a run has one of each`;
}

export const loraForm = {
  ...PEFT,
  peftType: 'LORA',
  options: (json, file) => ({ type: 'lora', ...loraOptions(json, file) }),
  untrainable: unevenLora,
} satisfies StoredForm<StoredOptions<LoraConfig>>;

/** A product of thin matrices has at most the rank of the layer; what goes beyond it learns nothing. */
export function refuseHighRank(rank: number, shapes: readonly LinearShape[]): void {
  const rankMax = Math.min(...shapes.map(({ inDim, outDim }) => Math.min(inDim, outDim)));
  const narrow = shapes.find(({ inDim, outDim }) => Math.min(inDim, outDim) === rankMax);
  if (rank <= rankMax || !narrow) return;
  throw tooLargeRank(
    `'adapter.rank' is ${rank}, but ${narrow.name} is ${narrow.outDim} by ${narrow.inDim}, whose rank is at most ${rankMax}.`,
    rankMax,
  );
}

export const reloraForm = /* @__PURE__ */ restartedForm('lora', LoraConfig);
