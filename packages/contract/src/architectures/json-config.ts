import { AppError } from '../errors.js';

/** Several times what the largest models of today have: nothing is built from a number beyond. */
const SIZES_MAX: Readonly<Record<string, number>> = {
  num_hidden_layers: 1_024,
  num_attention_heads: 4_096,
  num_key_value_heads: 4_096,
  head_dim: 2 ** 18,
  hidden_size: 2 ** 18,
  intermediate_size: 2 ** 20,
  vocab_size: 2 ** 24,
};
/** Of positions, windows and intervals. */
const SIZE_MAX = 2 ** 31 - 1;
/** Of lists: four for each layer. */
const ITEMS_MAX = 4_096;
/** A constant outside of these is none in float32. */
const POSITIVE = { min: 1e-30, max: 1e30 };

const HINT = 'Use a model in Hugging Face layout, of a supported family, without quantisation.';

/**
 * A config.json that is read key by key. `null` is as good as absent, as in transformers. Every method throws AppError `invalid_base` that
 * names the key and its value.
 */
export class JsonConfig {
  /** @param path keys that lead here from the top of config.json, each followed by a dot */
  constructor(
    private readonly json: Record<string, unknown>,
    private readonly path = '',
  ) {}

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  /** Whether a key is there, if only with `null`, which in transformers sets aside a default. */
  states(key: string): boolean {
    return this.json[key] !== undefined;
  }

  /** Names of all keys that hold something. */
  keys(): string[] {
    return Object.keys(this.json).filter((key) => this.has(key));
  }

  /** An object under a key; undefined where there is none or it is empty. */
  object(key: string): JsonConfig | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.refuse(key, 'is not an object');
    if (Object.keys(value).length === 0) return undefined;
    return new JsonConfig(value as Record<string, unknown>, `${this.path}${key}.`);
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.refuse(key, 'is not a text');
  }

  texts(key: string): string[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    this.refuseLong(key, value);
    if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
    throw this.refuse(key, 'is not a list of texts');
  }

  /** A list of whole numbers, for example 0 and 1. */
  integers(key: string): number[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    this.refuseLong(key, value);
    if (Array.isArray(value) && value.every((one) => Number.isSafeInteger(one))) return value as number[];
    throw this.refuse(key, 'is not a list of whole numbers');
  }

  /** A list of numbers above 0. */
  positives(key: string): number[] {
    const value = this.value(key);
    this.refuseLong(key, value);
    const isPositive = (one: unknown) => typeof one === 'number' && one >= POSITIVE.min && one <= POSITIVE.max;
    if (Array.isArray(value) && value.every(isPositive)) return value as number[];
    throw this.refuse(key, value === undefined ? 'it is missing' : 'is not a list of positive numbers');
  }

  flag(key: string, missing: boolean): boolean {
    const value = this.value(key) ?? missing;
    if (typeof value === 'boolean') return value;
    throw this.refuse(key, 'is neither true nor false');
  }

  /** A finite number above 0. */
  positive(key: string, missing?: number): number {
    const value = this.value(key) ?? missing;
    if (value === undefined) throw this.refuse(key, 'it is missing');
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw this.refuse(key, 'is not a positive number');
    if (value >= POSITIVE.min && value <= POSITIVE.max) return value;
    throw this.refuse(key, `is not between ${POSITIVE.min} and ${POSITIVE.max}`);
  }

  /** A whole number above 0, at most what any model has. */
  size(key: string, missing?: number): number {
    const value = this.positive(key, missing);
    if (!Number.isSafeInteger(value)) throw this.refuse(key, 'is not a whole number');
    const most = SIZES_MAX[key] ?? SIZE_MAX;
    if (value <= most) return value;
    throw this.refuse(key, `is more than ${most}, the most that is taken here`);
  }

  /** A whole number, 0 or above. */
  count(key: string): number {
    const value = this.value(key);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= SIZE_MAX) return value;
    throw this.refuse(key, `is not a whole number from 0 to ${SIZE_MAX}`);
  }

  /** Refuses a key that asks for something that this model does not compute: every value but the neutral ones. */
  refuseUnless(key: string, neutral: readonly unknown[], problem: string): void {
    const value = this.value(key);
    if (value !== undefined && !neutral.includes(value)) throw this.refuse(key, problem);
  }

  /** Refuses every key that holds an object. */
  refuseObjects(problem: string): void {
    const nested = Object.keys(this.json).find((key) => isObject(this.value(key)));
    if (nested !== undefined) throw this.refuse(nested, problem);
  }

  /** The refusal of a key, with its value where it has one. */
  refuse(key: string, problem: string, hint = HINT): AppError {
    const value = this.value(key);
    const shown = value === undefined ? '' : ` ${show(value)}`;
    return new AppError('invalid_base', `config.json: ${this.path}${key}:${shown} ${problem}.`, {
      param: `${this.path}${key}`,
      hint,
    });
  }

  private value(key: string): unknown {
    return this.json[key] ?? undefined;
  }

  private refuseLong(key: string, value: unknown): void {
    if (Array.isArray(value) && value.length > ITEMS_MAX)
      throw this.refuse(key, `has ${value.length} entries; at most ${ITEMS_MAX} are taken`);
  }
}

/** A value as far as a message needs it: of long ones, the beginning. */
function show(value: unknown): string {
  const part = Array.isArray(value) ? value.slice(0, 50) : value;
  return JSON.stringify(part).slice(0, 200);
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
