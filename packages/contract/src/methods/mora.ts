import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import {
  ADAPTED,
  defineMethod,
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
  restartedForm,
  type StoredForm,
  type StoredJson,
  type StoredOptions,
  unsupported,
} from './stored.js';

/**
 * Operator of MoRA (arXiv:2405.12130): 1 to 4 share rows and columns (Eq. 6) in four choices of groups, 6 rotates blocks (Eq. 9); numbers are
 * the authors' code's. `truncation` (Eq. 4) and `decouple` (Eq. 8) are in the paper and not in that code.
 */
export const MORA_TYPES = [1, 2, 3, 4, 6, 'truncation', 'decouple'] as const;
export const MoraType = z.union(MORA_TYPES.map((type) => z.literal(type)));
export type MoraType = (typeof MORA_TYPES)[number];

const MoraConfig = z.strictObject({
  type: z.literal('mora'),
  rank: z.int(),
  mora_type: MoraType,
  /** Present where it was asked for. */
  mora_all_inputs: z.literal(true).optional(),
  ...RESTART_VALUE,
  ...ADAPTED,
});
export type MoraConfig = z.output<typeof MoraConfig>;

export const mora = defineMethod({
  type: 'mora',
  spellings: ['moa'],
  name: 'MoRA',
  keys: {
    mora_type: MoraType.optional().describe(
      'MoRA operator: 1 shares rows and columns, 6 rotates blocks; 2, 3 and 4 share in other groups, `truncation` and `decouple` are the simpler ones of the paper. Default 6 below rank 64, else 1. MoRA only.',
    ),
    mora_all_inputs: z
      .boolean()
      .optional()
      .describe(
        'Types 6 and `decouple` where a layer has fewer outputs than inputs: let every block of inputs count, not the first ones alone as in the paper’s code. MoRA only. Default false.',
      ),
    ...RESTART_KEYS,
  },
  shared: ['rank', 'dropout', 'target_modules'],
  foreignHint: (key) =>
    ({
      alpha: 'Leave it out: MoRA has no scale; its learning rate does that work.',
      use_rslora: 'Leave it out: MoRA has no scale.',
    })[key],
  config: MoraConfig,
  resolve: (request, match) => {
    const rank = request.rank ?? RANK_DEFAULT;
    const restart = resolveRestart(request);
    const mora_type = request.mora_type ?? (restart.restart ? 1 : resolveMoraType(rank));
    if (restart.restart !== undefined) refuseLastType(mora_type);
    const { layers, adapted } = resolveAdapted(request, match);
    refuseWideSquare(rank, mora_type, layers);
    const mora_all_inputs = resolveAllInputs(request.mora_all_inputs, mora_type);
    return { type: 'mora', rank, mora_type, ...mora_all_inputs, ...restart, ...adapted };
  },
  trainableParameters: ({ rank, mora_type }, layers) =>
    sumOf(layers, ({ inDim, outDim }) => moraSide(inDim, outDim, rank, mora_type) ** 2),
  // The sum of updates, and two numbers a layer for its groups.
  keptParameters: (config, layers) => restartKept(config, layers) + (config.restart ? 2 * layers.length : 0),
  // The first step of sharing moves the weights as far as full fine-tuning does at the same rate (arXiv:2405.12130 tunes accordingly).
  learningRate: ({ mora_type }) => (isSharing(mora_type) ? 0.5 : 1),
  variants: [
    { spelling: 'mora', aliases: ['moa'], request: { type: 'mora' } },
    ...MORA_TYPES.map((type) => ({
      spelling: `mora-${type}`,
      aliases: [`moa-${type}`, `mora${type}`, `moa${type}`],
      request: { type: 'mora', mora_type: type } as const,
    })),
  ],
  kind: ({ mora_type }) => (mora_type === 6 ? 'rotation' : isSharing(mora_type) ? 'sharing' : String(mora_type)),
  label: ({ rank, mora_type, restart }) => `${restart === undefined ? '' : 're'}mora type ${mora_type} r${rank}`,
  color: 'mora',
  // Each restart went on with the groups of the next type; the first comes before the step behind `every`.
  after: (config, steps) =>
    config.restart === undefined
      ? config
      : { ...config, mora_type: restartedType(config.mora_type, Math.floor((steps - 1) / config.restart.every)) },
  withoutExport: ({ mora_type, restart }, format) =>
    restart !== undefined
      ? restartedExport(format)
      : format === 'peft' && !isThin(mora_type)
        ? `MoRA type ${mora_type} sends its input block by block through the square matrix, which is no product of two thin matrices, so PEFT's LoRA cannot hold it; format lora with a rank comes near.`
        : null,
});

/** Whether rows and columns of the square matrix are shared: types 1 to 4. */
const isSharing = (type: MoraType): boolean => typeof type === 'number' && type <= 4;

/** Whether the update is exactly a LoRA of the square's side. */
export const isThin = (type: MoraType): boolean => isSharing(type) || type === 'truncation';

/** The operator after `times` restarts from one: 1, 2, 3, 4, and 1 again, as the authors' code changes the groups. */
export const restartedType = (type: MoraType, times: number): MoraType =>
  typeof type === 'number' && type <= 4 ? (([1, 2, 3, 4] as const)[(type - 1 + times) % 4] ?? type) : type;

function refuseLastType(type: MoraType): void {
  if (isSharing(type)) return;
  throw new AppError(
    'invalid_value',
    `'adapter.restart' is set, but MoRA type ${type} has no other groups to go on with.`,
    {
      param: 'adapter.mora_type',
      hint: 'Take 1, 2, 3 or 4: a restart goes on with the next of them.',
    },
  );
}

function resolveAllInputs(asked: boolean | undefined, type: MoraType): { mora_all_inputs?: true } {
  if (asked !== true) return {};
  if (!isThin(type)) return { mora_all_inputs: true };
  throw new AppError(
    'invalid_value',
    `'adapter.mora_all_inputs' is true, but MoRA type ${type} ${type === 'truncation' ? 'is the first inputs alone' : 'reads every input'}.`,
    {
      param: 'adapter.mora_all_inputs',
      hint: "Leave it out, or set adapter.mora_type to 6 or 'decouple'.",
    },
  );
}

/** The operator that the authors advise for a rank: rotation for small ones, sharing from 64 on. */
export const resolveMoraType = (rank: number): MoraType => (rank < 64 ? 6 : 1);

/**
 * Side R of MoRA's square matrix for a layer of widths `inDim` and `outDim`: the rounded root of LoRA's budget (in + out)·rank, made
 * even for rotation, which pairs coordinates. Half is rounded up, as the authors' code does; the paper writes floor.
 */
export function moraSide(inDim: number, outDim: number, rank: number, type: MoraType): number {
  const side = Math.floor(Math.sqrt((inDim + outDim) * rank) + 0.5);
  return type === 6 ? 2 * Math.floor(side / 2) : side;
}

/** A square matrix with more numbers than the layer would be full fine-tuning with fewer freedoms. */
function refuseWideSquare(rank: number, type: MoraType, shapes: readonly LinearShape[]): void {
  const isTooWide = (tried: number, { inDim, outDim }: LinearShape): boolean =>
    moraSide(inDim, outDim, tried, type) ** 2 > inDim * outDim;
  const narrow = shapes.find((shape) => isTooWide(rank, shape));
  if (!narrow) return;
  let rankMax = rank - 1;
  while (rankMax > 1 && shapes.some((shape) => isTooWide(rankMax, shape))) rankMax--;
  const side = moraSide(narrow.inDim, narrow.outDim, rank, type);
  throw tooLargeRank(
    `'adapter.rank' is ${rank}, which gives ${narrow.name} (${narrow.outDim} by ${narrow.inDim}) a square matrix of ${side} by ${side}, more numbers than the layer has.`,
    rankMax,
  );
}

/** Its own form. */
export const moraForm = {
  configName: 'mora_config.json',
  weightsName: 'mora_model.safetensors',
  options: (json, file) => {
    const { format, format_version: version } = json;
    if (format !== 'moraine-mora' || version !== 1)
      throw unsupported(file, `format ${String(format)} ${String(version)} is not moraine-mora 1`);
    const all = json.mora_all_inputs === true ? { mora_all_inputs: true as const } : {};
    const mora_type = readType(file, json, MORA_TYPES);
    return { type: 'mora', rank: readCount(file, json, 'rank'), mora_type, ...all, dropout: 0 };
  },
} satisfies StoredForm<StoredOptions<MoraConfig>>;

/** Of the authors' fork of PEFT, which stores the matrix twice; r is the rank whose budget it matches. Its alpha has no effect there, and none here. */
export const moraForkForm = {
  ...PEFT,
  peftType: 'LORA',
  peftFlag: 'use_mora',
  copies: 2,
  options: (json, file) => {
    const mora_type = readType(file, json, [1, 2, 3, 4, 6] as const);
    return { type: 'mora', rank: readCount(file, json, 'r'), mora_type, dropout: readDropout(json, 'lora_dropout') };
  },
} satisfies StoredForm<StoredOptions<MoraConfig>>;

function readType<T extends MoraType>(file: string, json: StoredJson, types: readonly T[]): T {
  const found = types.find((type) => type === json.mora_type);
  if (found !== undefined) return found;
  throw unsupported(file, `mora_type is ${JSON.stringify(json.mora_type)}, not one of ${types.join(', ')}`);
}

export const remoraForm = /* @__PURE__ */ restartedForm('mora', MoraConfig);
