import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';

/** Every word of it becomes a pattern. */
const TargetName = z.string().min(1).max(512);

/** Request keys that several methods have. `default` is documented here and applied by a row's `resolve`. */
export const SHARED_KEYS = {
  rank: z.int().min(1).max(1024).optional().meta({
    default: 8,
    description: 'LoRA rank; for MoRA the LoRA rank whose parameter budget its square matrices match.',
  }),
  dropout: z.number().min(0).max(0.95).optional().meta({
    default: 0,
    description: 'Share of adapter inputs set to zero while training; 0 is off.',
  }),
  target_modules: z
    .union([z.literal('all-linear'), z.array(TargetName).min(1).max(256)])
    .optional()
    .meta({
      default: 'all-linear',
      description:
        'Linear layers that get an adapter: full paths or parts of them such as `q_proj`, `mlp` or `layers.3.self_attn`, with `*` for any letters and `[0-3]` for a range of numbers, or `all-linear`. A name that matches nothing is refused.',
    }),
};
type SharedKeys = typeof SHARED_KEYS;
export type Targets = NonNullable<z.output<SharedKeys['target_modules']>>;

/** Hidden width of the base that the reference learning rate is known for. */
export const REFERENCE_WIDTH = 2000;

export const RANK_DEFAULT = 8;
export const DROPOUT_DEFAULT = 0;
export const TARGETS_DEFAULT: Targets = 'all-linear';

/** Request key of methods that can merge their update and start again. */
export const RESTART_KEYS = {
  restart: z
    .strictObject({ every: z.int().min(1).max(10_000_000), warmup: z.int().min(0).optional() })
    .optional()
    .describe(
      'Merge the update and start the adapter and the optimiser anew every so many steps, with `warmup` steps (default 50, at most a quarter of `every`) back to the learning rate: ReLoRA, and ReMoRA, which changes its groups each time. LoRA and MoRA types 1 to 4. Off by default.',
    ),
};
/** Its resolved form, present where it was asked for. */
export const RESTART_VALUE = { restart: z.strictObject({ every: z.int(), warmup: z.int() }).optional() };
const RESTART_WARMUP = 50;

export function resolveRestart({ restart }: { restart?: { every: number; warmup?: number | undefined } | undefined }) {
  if (restart === undefined) return {};
  const { every, warmup = Math.min(RESTART_WARMUP, Math.ceil(every / 4), every - 1) } = restart;
  if (warmup < every) return { restart: { every, warmup } };
  throw new AppError(
    'invalid_value',
    `'adapter.restart.warmup' is ${warmup}, but a restart follows every ${every} steps.`,
    {
      param: 'adapter.restart.warmup',
      hint: `Take fewer than ${every}.`,
    },
  );
}

/** What a restarted adapter keeps: the sum of its updates. */
export const restartKept = ({ restart }: { restart?: object | undefined }, layers: readonly LinearShape[]): number =>
  restart === undefined ? 0 : sumOf(layers, ({ inDim, outDim }) => inDim * outDim);

/** Why an adapter that was merged and started again has no form in PEFT's layout. */
export const restartedExport = (format: ExportFormat): string | null =>
  format === 'peft'
    ? 'The adapter was merged and started again, so its update is the sum of several, which PEFT has no form for: take the merged model, the native form, or format lora with a rank.'
    : null;

/** What every method takes: modules that are trained whole, beside an adapter or alone. */
export const WHOLE_KEYS = {
  modules_to_save: z
    .array(TargetName)
    .min(1)
    .max(256)
    .optional()
    .describe(
      "Modules trained whole: `norms`, `embeddings`, `head`, or names as in target_modules. Beside an adapter, or with type 'none' instead of every weight. Default: none beside an adapter.",
    ),
};
/** Its resolved form, full paths, present where it was asked for. */
export const WHOLE_VALUE = { modules_to_save: z.array(z.string()).optional() };

/** Resolved keys of a method that adapts linear layers; `target_modules` holds full paths. */
export const ADAPTED = { dropout: z.number(), target_modules: z.array(z.string()), ...WHOLE_VALUE };

/** The shared keys of `ADAPTED` with their defaults, and the layers that they name. */
export function resolveAdapted(request: SharedRequest, match: MatchTargets) {
  const layers = match(request.target_modules ?? TARGETS_DEFAULT);
  return {
    layers,
    adapted: { dropout: request.dropout ?? DROPOUT_DEFAULT, target_modules: layers.map(({ name }) => name) },
  };
}

type SharedRequest = { [K in keyof SharedKeys]?: z.output<SharedKeys[K]> };
export type KeyShape = Record<string, z.ZodType>;

/** The linear layers of the base that target modules name. @throws AppError `no_target_matched`. */
export type MatchTargets = (targets: Targets) => readonly LinearShape[];

/** The form that is a product of thin matrices, as every program reads it: approximate, of a rank that is asked for. */
export const LOW_RANK = 'lora';
/** Forms in which a result is downloaded; `lora` is approximate, by the largest singular values of the update, `gguf` the merged model for llama.cpp. */
export const EXPORT_FORMATS = ['native', 'peft', 'merged', LOW_RANK, 'gguf'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** A word that the command line takes for a method, and the request keys that it stands for. */
export interface MethodVariant {
  spelling: string;
  /** Other spellings of the same. */
  aliases?: readonly string[];
  request: Readonly<Record<string, unknown>> & { readonly type: string };
}

/** Everything that is known of a training method without computing with it. The row is the only place that says it. */
export interface MethodRow<Type extends string, Keys extends KeyShape, Config extends z.ZodType<{ type: Type }>> {
  /** `adapter.type` on the wire and in stored runs. */
  type: Type;
  /** Other accepted spellings of `type`. */
  spellings: readonly string[];
  /** What a request without a type gets; true of one row. */
  isDefault?: true;
  /** As written for people. */
  name: string;
  /** What follows the type where the API document lists the types. */
  note?: string;
  /** Request keys that this method brings, all optional. */
  keys: Keys;
  /** Keys that it takes of the shared ones. */
  shared: readonly (keyof SharedKeys)[];
  /** What to say to a caller who gives a key of another method, where the general hint does not do. */
  foreignHint?(key: string, otherTypes: string): string | undefined;
  /** The resolved form: no key missing. */
  config: Config;
  /** The resolved form from a parsed request; defaults are applied here. @throws AppError for values that the layers are too small for. */
  resolve(request: SharedRequest & { [K in keyof Keys]?: z.output<Keys[K]> }, match: MatchTargets): z.output<Config>;
  /** Trainable numbers of the layers that it is on; `total` is the number of weights of the base. */
  trainableParameters(config: z.output<Config>, layers: readonly LinearShape[], total: number): number;
  /** Numbers kept beside those that are trained, of the layers that it is on; absent: none. */
  keptParameters?(config: z.output<Config>, layers: readonly LinearShape[]): number;
  /** The automatic learning rate as a share of the reference rate of a base so wide; see plan/learning-rate.ts. */
  learningRate(config: z.output<Config>, hiddenSize: number): number;
  variants: readonly MethodVariant[];
  /** The kind within the method, in a word; empty where there is one kind. */
  kind(config: z.output<Config>): string;
  /** The method with its size in few characters, for a terminal. */
  label(config: z.output<Config>): string;
  /** Name of its colour in the dashboard. */
  color: string;
  /** What it has become after so many steps; absent: what it was. */
  after?(config: z.output<Config>, steps: number): z.output<Config>;
  /** Why a result has no export in a format; null where it has one. */
  withoutExport(config: z.output<Config>, format: ExportFormat): string | null;
}

/** The row as it is, with its types. */
export const defineMethod = <
  const Type extends string,
  Keys extends KeyShape,
  Config extends z.ZodType<{ type: Type }>,
>(
  row: MethodRow<Type, Keys, Config>,
): MethodRow<Type, Keys, Config> => row;

export const sumOf = (layers: readonly LinearShape[], count: (layer: LinearShape) => number): number =>
  layers.reduce((sum, layer) => sum + count(layer), 0);

/** The refusal of a rank that a layer is too small for. */
export const tooLargeRank = (message: string, rankMax: number): AppError =>
  new AppError('invalid_value', message, {
    param: 'adapter.rank',
    hint: `Take at most ${rankMax} for these target modules.`,
  });
