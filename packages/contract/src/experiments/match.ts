import type { ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { RANK_DEFAULT } from '../methods/method.js';
import { type AdapterRequest, DEFAULT_METHOD, methodRow } from '../methods/registry.js';
import { resolveAdapter } from '../plan/resolve-adapter.js';
import { COUNTS_APART } from './not-comparable.js';

/** An adapter before its size is chosen. */
export interface Sized {
  name: string;
  adapter: AdapterRequest;
}

export interface MatchedArm extends Sized {
  trainableParameters: number;
}

/** Request keys that decide how much a method trains. */
const SIZES = ['rank', 'block_size'] as const;
type Size = (typeof SIZES)[number];
const SIZE_MAX = 1024;

/**
 * The adapters of arms with the size whose count of trainable parameters comes nearest to a budget: the count of the arm that is named, or a
 * number. An adapter that says its size keeps it. Full fine-tuning and what trains no adapter is left as it is.
 * @throws AppError `invalid_value` naming adapters whose counts are more than 5 % apart, with the counts that there are.
 */
export function matchParameters(arms: readonly Sized[], budget: string | number, base: ModelShape): MatchedArm[] {
  const wanted = typeof budget === 'number' ? budget : countOf(arms, budget, base);
  const matched = sizeArms(arms, budget, wanted, base);
  const apart = tooFarApart(matched);
  if (apart) throw refuseApart(apart, wanted, base, nearbySize(arms, budget, base));
  return matched;
}

function sizeArms(arms: readonly Sized[], budget: string | number, wanted: number, base: ModelShape): MatchedArm[] {
  return arms.map((arm, i) =>
    isYardstick(arm) || arm.name === budget || sizeOf(arm.adapter) !== null
      ? counted(arm, base)
      : nearestSize(arm, wanted, base, `arms[${i}]`),
  );
}

const rowOf = ({ adapter }: Sized) => methodRow({ type: adapter.type ?? DEFAULT_METHOD.type });
const isYardstick = (arm: Sized): boolean => rowOf(arm).shared.length === 0;

/** The size that a request gives; null where it leaves it open. */
function sizeOf(adapter: AdapterRequest): number | null {
  return adapter.rank ?? adapter.block_size ?? null;
}

function countOf(arms: readonly Sized[], name: string, base: ModelShape): number {
  const arm = arms.find((one) => one.name === name);
  if (!arm)
    throw new AppError('invalid_value', `'match.parameters' is '${name}', which is none of the arms.`, {
      param: 'match.parameters',
      hint: `Take one of ${arms.map((one) => `'${one.name}'`).join(', ')}, or a number.`,
    });
  if (isYardstick(arm))
    throw new AppError('invalid_value', `'match.parameters' is '${name}', which trains the model itself.`, {
      param: 'match.parameters',
      hint: 'Name an adapter; the yardstick is exempt from the budget.',
    });
  return resolveAdapter(arm.adapter, base).trainableParameters;
}

function nearestSize(arm: Sized, wanted: number, base: ModelShape, param: string): MatchedArm {
  const around = aroundBudget(arm, wanted, base);
  const [nearest] = around.sort((a, b) => distance(a, wanted) - distance(b, wanted));
  if (nearest) return nearest;
  const what = 'has no size that this base takes';
  throw new AppError('invalid_value', `'${param}' (${arm.name}) ${what}.`, { param, hint: 'Leave the arm out.' });
}

const counted = (arm: Sized, base: ModelShape): MatchedArm => {
  return { ...arm, trainableParameters: resolveAdapter(arm.adapter, base).trainableParameters };
};

const distance = ({ trainableParameters: count }: MatchedArm, wanted: number): number => Math.abs(count - wanted);

/**
 * The largest size below the budget and the least one that reaches it; the method alone where it has no size. Counts grow with the size, so the
 * range is halved: a base of 224 layers takes a millisecond a size, and a request may bring 32 arms.
 */
function aroundBudget(arm: Sized, wanted: number, base: ModelShape): MatchedArm[] {
  const size = sizeKey(arm);
  if (size === null) return [counted(arm, base)];
  let [below, above]: [MatchedArm | null, MatchedArm | null] = [null, null];
  let [low, high] = [0, SIZE_MAX + 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const found = firstSize(arm, size, middle, high, base);
    if (found === null || found.arm.trainableParameters >= wanted) {
      above = found?.arm ?? above;
      high = middle;
    } else {
      below = found.arm;
      low = found.value;
    }
  }
  return [below, above].filter((one) => one !== null);
}

/** The least size from `from` on, below `end`, that the base takes. */
function firstSize(arm: Sized, size: Size, from: number, end: number, base: ModelShape) {
  for (let value = from; value < end; value += 1) {
    const resolved = resolveSize(arm, size, value, base);
    if (resolved) return { value, arm: resolved };
  }
  return null;
}

function sizeKey(arm: Sized): Size | null {
  const row = rowOf(arm);
  return SIZES.find((key) => key in row.keys || row.shared.some((shared) => shared === key)) ?? null;
}

/** Null for a size that a layer is too small for, or that does not divide it. */
function resolveSize(arm: Sized, size: Size, value: number, base: ModelShape): MatchedArm | null {
  try {
    return counted({ ...arm, adapter: { ...arm.adapter, [size]: value } }, base);
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_value' && concernsSize(error)) return null;
    throw error;
  }
}

/** GraLoRA's rank must be a multiple of its blocks, and is refused in their name. */
const concernsSize = ({ param }: AppError): boolean =>
  [...SIZES, 'sub_blocks'].some((key) => param === `adapter.${key}`);

interface Apart {
  least: MatchedArm;
  most: MatchedArm;
}

/** The adapters that train least and most, where they are not comparable. */
function tooFarApart(arms: readonly MatchedArm[]): Apart | null {
  const adapters = arms.filter((arm) => !isYardstick(arm));
  const sorted = adapters.toSorted((a, b) => a.trainableParameters - b.trainableParameters);
  const [least, most] = [sorted[0], sorted.at(-1)];
  const isNear = !least || !most || most.trainableParameters <= least.trainableParameters * (1 + COUNTS_APART);
  return isNear ? null : { least, most };
}

function refuseApart({ least, most }: Apart, wanted: number, base: ModelShape, nearby: string | null): AppError {
  const off = distance(least, wanted) > distance(most, wanted) ? least : most;
  const shown = (count: number): string => count.toLocaleString('en-US');
  const near = aroundBudget({ ...off, adapter: withoutSize(off.adapter) }, wanted, base);
  const counts = near.map((one) => `${shown(one.trainableParameters)}${sizeWords(one)}`);
  return new AppError(
    'invalid_value',
    `${most.name} would train ${shown(most.trainableParameters)} parameters and ${least.name} ${shown(least.trainableParameters)}, more than 5 % apart; nearest to ${shown(wanted)}, ${off.name} has ${counts.join(' and ')}.`,
    {
      param: 'match.parameters',
      hint: nearby ?? `Take a budget that every adapter comes near, or leave ${off.name} out.`,
    },
  );
}

/** The size of the named arm, near its own, at which all adapters come near each other; null where none was found. */
function nearbySize(arms: readonly Sized[], budget: string | number, base: ModelShape): string | null {
  const named = arms.find(({ name }) => name === budget);
  const size = named && sizeKey(named);
  if (!named || !size) return null;
  const own = named.adapter[size] ?? RANK_DEFAULT;
  for (const value of [1, -1, 2, -2, 3, -3, 4, -4].map((by) => own + by)) {
    const sized = value < 1 ? null : resolveSize(named, size, value, base);
    if (!sized) continue;
    const others = arms.map((arm) => (arm === named ? sized : arm));
    if (!tooFarApart(sizeArms(others, budget, sized.trainableParameters, base)))
      return `With ${size} ${value} of ${named.name} all come within 5 %.`;
  }
  return null;
}

/** Every size key taken out. */
const withoutSize = ({ rank: _rank, block_size: _block, ...others }: AdapterRequest): AdapterRequest =>
  others as AdapterRequest;

function sizeWords({ adapter }: Sized): string {
  const size = SIZES.find((key) => adapter[key] !== undefined);
  return size ? ` at ${size} ${adapter[size]}` : '';
}
