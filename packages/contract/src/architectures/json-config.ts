import { AppError } from '../errors.js';

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
    if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
    throw this.refuse(key, 'is not a list of texts');
  }

  /** A list of whole numbers, for example 0 and 1. */
  integers(key: string): number[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((one) => Number.isSafeInteger(one))) return value as number[];
    throw this.refuse(key, 'is not a list of whole numbers');
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
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    throw this.refuse(key, 'is not a positive number');
  }

  /** A whole number above 0. */
  size(key: string, missing?: number): number {
    const value = this.positive(key, missing);
    if (Number.isSafeInteger(value)) return value;
    throw this.refuse(key, 'is not a whole number');
  }

  /** A whole number, 0 or above. */
  count(key: string): number {
    const value = this.value(key);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.refuse(key, 'is not a whole number of at least 0');
  }

  /** Refuses a key that asks for something that this model does not compute: every value but the neutral ones. */
  refuseUnless(key: string, neutral: readonly unknown[], problem: string): void {
    const value = this.value(key);
    if (value !== undefined && !neutral.includes(value)) throw this.refuse(key, problem);
  }

  /** Refuses every key that holds an object. */
  refuseObjects(problem: string): void {
    const nested = Object.keys(this.json).find((key) => typeof this.value(key) === 'object');
    if (nested !== undefined) throw this.refuse(nested, problem);
  }

  /** The refusal of a key, with its value where it has one. */
  refuse(key: string, problem: string, hint = HINT): AppError {
    const value = this.value(key);
    const shown = value === undefined ? '' : ` ${JSON.stringify(value).slice(0, 200)}`;
    return new AppError('invalid_base', `config.json: ${this.path}${key}:${shown} ${problem}.`, {
      param: `${this.path}${key}`,
      hint,
    });
  }

  private value(key: string): unknown {
    return this.json[key] ?? undefined;
  }
}
