import { z } from 'zod';
import { AppError } from '../errors.js';
import { nearest } from '../suggest.js';
import * as rows from './index.js';
import { type MatchTargets, type MethodRow, type MethodVariant, SHARED_KEYS, WHOLE_KEYS } from './method.js';

type Rows = typeof rows;
type Row = Rows[keyof Rows];

/** One training method with every value it needs. */
export type MethodConfig = z.output<Row['config']>;
/** The configurations of an adapter beside the base. */
export type AdapterConfig = Extract<MethodConfig, { target_modules: string[] }>;

/** Where a row is listed: what a request without a type gets first, those that have no adapter last. */
const placeOf = (row: { isDefault?: true; shared: readonly string[] }): number =>
  row.isDefault === true ? 0 : row.shared.length > 0 ? 1 : 2;
/** All training methods. */
export const METHODS: readonly Row[] = Object.values(rows).sort((a, b) => placeOf(a) - placeOf(b));
const DEFAULT = METHODS.find(({ isDefault }) => isDefault)?.type ?? '';
/** Keys that say how an adapter is trained, not what it is. */
export const TRAINING_KEYS: readonly string[] = ['dropout', 'lora_plus_ratio'];

const configs = METHODS.map((row) => row.config) as unknown as [
  z.ZodObject<{ type: z.ZodLiteral<MethodConfig['type']> }>,
];
export const MethodConfig = z.discriminatedUnion('type', configs) as unknown as z.ZodType<MethodConfig>;

type Intersected<T> = (T extends unknown ? (one: T) => void : never) extends (all: infer All) => void ? All : never;
const { rank, ...SHARED_LAST } = SHARED_KEYS;
const OWN_KEYS = Object.assign({}, ...METHODS.map((row) => row.keys)) as Intersected<Row['keys']>;
const TYPES: readonly string[] = METHODS.flatMap((row) => [row.type, ...row.spellings]);

/** `adapter` of a request: the keys of all methods, absent where the caller wrote none. */
export const AdapterRequest = z.strictObject({
  type: z
    .enum(TYPES)
    .optional()
    .meta({ default: DEFAULT, description: `Training method: ${describeTypes()}.` }),
  rank,
  ...OWN_KEYS,
  ...SHARED_LAST,
  ...WHOLE_KEYS,
});
export type AdapterRequest = z.output<typeof AdapterRequest>;

function describeTypes(): string {
  const words = (METHODS as readonly { type: string; spellings: readonly string[]; note?: string }[]).map(
    ({ type, spellings, note = '' }) => {
      const others = spellings.map((other) => `\`${other}\``).join(', ');
      return `\`${type}\`${others && ` (also written ${others})`}${note}`;
    },
  );
  return `${words.slice(0, -1).join(', ')}, or ${words.at(-1)}`;
}

type AnyRow = MethodRow<MethodConfig['type'], typeof OWN_KEYS, typeof MethodConfig>;
/** A row's functions take the configurations of its own type alone: look a row up by the type of what it is given. */
const ROWS = METHODS as unknown as readonly AnyRow[];

/** The row of a request without a type, whose learning rate the others' are shares of. */
export const DEFAULT_METHOD = methodRow({ type: DEFAULT });

/** The row of a configuration or of a request. */
export function methodRow({ type }: { type: string }): AnyRow {
  const row = ROWS.find((one) => one.type === type || one.spellings.includes(type));
  if (row === undefined)
    throw new AppError('invalid_value', `There is no training method '${type}'.`, {
      hint: 'Take one of adapter.type.',
    });
  return row;
}

/** The configuration that a parsed request asks for. @throws AppError `invalid_value` for keys of another method, and what `resolve` throws. */
export function resolveMethod(request: AdapterRequest, match: MatchTargets): MethodConfig {
  const row = methodRow({ type: request.type ?? DEFAULT });
  refuseForeign(request, row);
  return row.resolve(request, match);
}

const takes = (row: AnyRow, key: string): boolean =>
  Object.hasOwn(row.keys, key) || row.shared.some((shared) => shared === key);

/** A request for a resolved configuration: of its keys those that a request may have. */
export function asRequest(config: MethodConfig): AdapterRequest {
  const row = methodRow(config);
  const isAsked = (key: string): boolean => key === 'type' || key in WHOLE_KEYS || takes(row, key);
  return Object.fromEntries(Object.entries(config).filter(([key]) => isAsked(key))) as AdapterRequest;
}

/** `'lora', 'mora' or 'none'`. */
const eitherOf = (all: readonly AnyRow[]): string =>
  all
    .map(({ type }) => `'${type}'`)
    .join(', ')
    .replace(/, ([^,]*)$/, ' or $1');

function refuseForeign(request: AdapterRequest, row: AnyRow): void {
  for (const key of Object.keys(AdapterRequest.shape)) {
    const value = request[key as keyof AdapterRequest];
    if (key === 'type' || key in WHOLE_KEYS || value === undefined || takes(row, key)) continue;
    const others = ROWS.filter((one) => one !== row);
    const owners = others.filter((one) => takes(one, key));
    throw new AppError(
      'invalid_value',
      `'adapter.${key}' is ${JSON.stringify(value)}, but adapter.type '${row.type}' does not have it.`,
      {
        param: `adapter.${key}`,
        hint: row.foreignHint?.(key, eitherOf(others)) ?? `Leave it out, or set adapter.type to ${eitherOf(owners)}.`,
      },
    );
  }
}

export const methodLabel = (config: MethodConfig): string => methodRow(config).label(config);
export const methodName = (config: MethodConfig): string => methodRow(config).name;
export const methodKind = (config: MethodConfig): string => methodRow(config).kind(config);

/** What a configuration trains, in words: `35 linear layers (q_proj 5, …)` and what is trained whole. */
export function methodCoverage(config: MethodConfig): string {
  const { modules_to_save: whole = [] } = config;
  const adapted = 'target_modules' in config ? config.target_modules : [];
  const parts = [
    ...(adapted.length > 0 ? [`${countOf(adapted, 'linear layer')} with an adapter (${kindsOf(adapted)})`] : []),
    ...(whole.length > 0 ? [`${countOf(whole, 'module')} whole (${kindsOf(whole)})`] : []),
  ];
  return parts.join(', ') || 'every weight';
}

const countOf = (all: readonly unknown[], what: string): string =>
  `${all.length} ${what}${all.length === 1 ? '' : 's'}`;

/** `q_proj 5, k_proj 5`: the last words of paths, and how many have each. */
function kindsOf(paths: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const kind = path.slice(path.lastIndexOf('.') + 1);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
}

const VARIANTS: readonly MethodVariant[] = METHODS.flatMap((row): readonly MethodVariant[] => row.variants);
/** The words that `--method` takes. */
export const METHOD_SPELLINGS: readonly string[] = VARIANTS.map(({ spelling }) => spelling);

/** The `adapter` keys that a word of `--method` stands for. @throws AppError naming the nearest word. */
export function requestOf(word: string): MethodVariant['request'] {
  const found = VARIANTS.find(({ spelling, aliases = [] }) => spelling === word || aliases.includes(word));
  if (found) return found.request;
  const near = nearest(word, METHOD_SPELLINGS);
  throw new AppError('invalid_request', `--method is '${word}', which is none of ${METHOD_SPELLINGS.join(', ')}.`, {
    hint: near ? `Did you mean '${near}'?` : 'Take one of these.',
  });
}

/** The word of `--method` for request keys; their type where no word stands for them. */
export function wordOf(request: MethodVariant['request']): string {
  const entries = Object.entries(request);
  const isSame = (other: MethodVariant['request']): boolean =>
    Object.keys(other).length === entries.length && entries.every(([key, value]) => other[key] === value);
  return VARIANTS.find((variant) => isSame(variant.request))?.spelling ?? request.type;
}
