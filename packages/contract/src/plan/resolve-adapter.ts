import type { z } from 'zod';
import type { LlamaConfig } from '../architectures/llama.js';
import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import type { CreateRunRequest, MethodConfig } from '../run-config.js';
import { type MethodShape, moraSide, resolveMoraType, trainableParameters } from './parameters.js';
import { linearShapes, totalParameters } from './shapes.js';
import { matchTargets } from './targets.js';

type AdapterRequest = NonNullable<z.output<typeof CreateRunRequest>['adapter']>;

export interface ResolvedAdapter {
  adapter: MethodConfig;
  method: MethodShape;
  trainableParameters: number;
}

/** Keys that a method has no use for, and what to say about them. */
const FOREIGN: Readonly<Record<'lora' | 'mora' | 'none', readonly (readonly [keyof AdapterRequest, string])[]>> = {
  lora: [['mora_type', "Leave it out, or set adapter.type to 'mora'."]],
  mora: [
    ['alpha', 'Leave it out: MoRA has no scale; its learning rate does that work.'],
    ['use_rslora', 'Leave it out: MoRA has no scale.'],
  ],
  none: (['rank', 'alpha', 'use_rslora', 'mora_type', 'dropout', 'target_modules'] as const).map((key) => [
    key,
    "Leave it out: type 'none' trains every weight. Or set adapter.type to 'lora' or 'mora'.",
  ]),
};

/**
 * The training method with every value it needs, its target modules as full paths of this base.
 * @param given the keys of `adapter` that the caller wrote; defaults are not held against a method.
 * @throws AppError `invalid_value` for keys of another method and for ranks that a layer is too small for; `no_target_matched`.
 */
export function resolveAdapter(
  request: AdapterRequest,
  given: ReadonlySet<string>,
  base: LlamaConfig,
): ResolvedAdapter {
  const type = request.type === 'moa' ? 'mora' : request.type;
  const foreign = FOREIGN[type].find(([key]) => given.has(key));
  if (foreign) {
    const [key, hint] = foreign;
    throw new AppError(
      'invalid_value',
      `'adapter.${key}' is ${JSON.stringify(request[key])}, but adapter.type '${type}' does not have it.`,
      {
        param: `adapter.${key}`,
        hint,
      },
    );
  }
  const total = totalParameters(base);
  if (type === 'none') return { adapter: { type }, method: { type }, trainableParameters: total };

  const { matched } = matchTargets(linearShapes(base), request.target_modules);
  const { rank, dropout } = request;
  const target_modules = matched.map(({ name }) => name);
  if (type === 'mora') {
    const mora_type = request.mora_type ?? resolveMoraType(rank);
    const method: MethodShape = { type, rank, moraType: mora_type };
    refuseWideSquare(rank, mora_type, matched);
    return {
      adapter: { type, rank, mora_type, dropout, target_modules },
      method,
      trainableParameters: trainableParameters(method, matched, total),
    };
  }
  const method: MethodShape = { type, rank };
  refuseHighRank(rank, matched);
  const adapter: MethodConfig = {
    type,
    rank,
    alpha: request.alpha ?? 2 * rank,
    use_rslora: request.use_rslora ?? false,
    dropout,
    target_modules,
  };
  return { adapter, method, trainableParameters: trainableParameters(method, matched, total) };
}

/** The keys that the caller wrote inside `adapter` of a request's body. */
export function adapterKeysOf(body: unknown): ReadonlySet<string> {
  const written = typeof body === 'object' && body !== null && 'adapter' in body ? body.adapter : null;
  return new Set(typeof written === 'object' && written !== null ? Object.keys(written) : []);
}

/** A product of thin matrices has at most the rank of the layer; what goes beyond it learns nothing. */
function refuseHighRank(rank: number, shapes: readonly LinearShape[]): void {
  const rankMax = Math.min(...shapes.map(({ inDim, outDim }) => Math.min(inDim, outDim)));
  const narrow = shapes.find(({ inDim, outDim }) => Math.min(inDim, outDim) === rankMax);
  if (rank <= rankMax || !narrow) return;
  throw tooLarge(
    `'adapter.rank' is ${rank}, but ${narrow.name} is ${narrow.outDim} by ${narrow.inDim}, whose rank is at most ${rankMax}.`,
    rankMax,
  );
}

/** A square matrix with more numbers than the layer would be full fine-tuning with fewer freedoms. */
function refuseWideSquare(rank: number, type: 1 | 6, shapes: readonly LinearShape[]): void {
  const isTooWide = (tried: number, { inDim, outDim }: LinearShape): boolean =>
    moraSide(inDim, outDim, tried, type) ** 2 > inDim * outDim;
  const narrow = shapes.find((shape) => isTooWide(rank, shape));
  if (!narrow) return;
  let rankMax = rank - 1;
  while (rankMax > 1 && shapes.some((shape) => isTooWide(rankMax, shape))) rankMax--;
  const side = moraSide(narrow.inDim, narrow.outDim, rank, type);
  throw tooLarge(
    `'adapter.rank' is ${rank}, which gives ${narrow.name} (${narrow.outDim} by ${narrow.inDim}) a square matrix of ${side} by ${side}, more numbers than the layer has.`,
    rankMax,
  );
}

const tooLarge = (message: string, rankMax: number): AppError =>
  new AppError('invalid_value', message, {
    param: 'adapter.rank',
    hint: `Take at most ${rankMax} for these target modules.`,
  });
