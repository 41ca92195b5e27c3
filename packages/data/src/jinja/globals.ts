import { bind, needInt, needText } from './arguments.js';
import {
  type Arguments,
  type Callable,
  itemsOf,
  Namespace,
  orElse,
  RaisedByTemplate,
  TemplateError,
  toText,
  Undefined,
  Unsupported,
  type Value,
  viewOf,
} from './values.js';

/** Longer ranges are refused, as Jinja's sandbox does, which transformers renders in. */
const RANGE_MAX = 100_000;

const range: Callable = (given) => {
  const [first, second, third] = bind(given, ['start', 'stop', 'step'], 'range');
  const step = needInt(third, 1, 'range()');
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const [from, to] =
    second === undefined
      ? [0, needInt(first, 0, 'range()')]
      : [needInt(first, 0, 'range()'), needInt(second, 0, 'range()')];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count > RANGE_MAX) throw new TemplateError(`range() of ${count} numbers is too big; ${RANGE_MAX} at most`);
  return viewOf(Array.from({ length: count }, (_, i) => BigInt(from + i * step)));
};

function pairsOf(value: Value | undefined): [Value, Value][] {
  if (value === undefined) return [];
  if (value instanceof Undefined) throw new TemplateError(`'${value.name}' is undefined`);
  if (value instanceof Map) return [...value];
  return itemsOf(value).map((pair) => {
    const [key, of, ...more] = itemsOf(pair);
    if (key === undefined || of === undefined || more.length > 0)
      throw new TemplateError('a dictionary is made of pairs');
    return [key, of];
  });
}

/** What `dict` and `namespace` take: pairs or a dictionary, and values by name. */
function entriesOf({ args, named }: Arguments): [Value, Value][] {
  if (args.length > 1) throw new TemplateError(`dict expected at most 1 argument, got ${args.length}`);
  return [...pairsOf(args[0]), ...named];
}

const namespace: Callable = (given) => {
  const made = new Namespace();
  for (const [key, value] of entriesOf(given)) made.values.set(toText(key), value);
  return made;
};

/** `%d %B %Y` of a day, in English, at midnight. @throws Unsupported naming a directive that is not known. */
export function formatDay(day: Date, format: string): string {
  const english = (options: Intl.DateTimeFormatOptions): string =>
    new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', ...options }).format(day);
  const two = (number: number): string => String(number).padStart(2, '0');
  const parts: Record<string, () => string> = {
    Y: () => String(day.getUTCFullYear()),
    y: () => two(day.getUTCFullYear() % 100),
    m: () => two(day.getUTCMonth() + 1),
    d: () => two(day.getUTCDate()),
    e: () => String(day.getUTCDate()).padStart(2),
    B: () => english({ month: 'long' }),
    b: () => english({ month: 'short' }),
    A: () => english({ weekday: 'long' }),
    a: () => english({ weekday: 'short' }),
    H: () => '00',
    I: () => '12',
    p: () => 'AM',
    M: () => '00',
    S: () => '00',
    F: () => formatDay(day, '%Y-%m-%d'),
    j: () =>
      String(Math.floor((day.getTime() - Date.UTC(day.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(3, '0'),
    '-d': () => String(day.getUTCDate()),
    '-m': () => String(day.getUTCMonth() + 1),
    '%': () => '%',
  };
  return format.replace(/%(-?[a-zA-Z%])/g, (_whole, directive: string) => {
    const part = Object.hasOwn(parts, directive) ? parts[directive] : undefined;
    if (part === undefined) throw new Unsupported(`the directive '%${directive}' of strftime_now`);
    return part();
  });
}

/** What every template may name. */
export function globalsOn(day: Date): Map<string, Value> {
  return new Map<string, Value>([
    ['true', true],
    ['True', true],
    ['false', false],
    ['False', false],
    ['none', null],
    ['None', null],
    ['range', range],
    ['namespace', namespace],
    ['dict', (given) => new Map(entriesOf(given))],
    [
      'raise_exception',
      ({ args }) => {
        throw new RaisedByTemplate(toText(args[0] ?? ''));
      },
    ],
    ['strftime_now', (given) => formatDay(day, needText(bind(given, ['format'], 'strftime_now')[0], 'strftime_now()'))],
  ]);
}

export const GLOBAL_NAMES: ReadonlySet<string> = new Set([...globalsOn(new Date(0)).keys(), 'caller', 'loop']);

/** A macro: called, and asked for what it is named and takes. */
export class Macro extends Namespace {
  constructor(
    call: Callable,
    private readonly about: ReadonlyMap<string, Value>,
  ) {
    super(call);
  }

  override get(name: string): Value | undefined {
    return this.about.get(name);
  }
}

/** What `loop` is in the iteration `i` over `items`; `again` is what it does when a recursive loop calls it. */
export class Loop extends Namespace {
  constructor(
    readonly items: readonly Value[],
    readonly i: number,
    readonly depth: number,
    again: Callable | null,
  ) {
    super(again);
  }

  /** Found when it is asked for: most loops ask for nothing. */
  override get(name: string): Value | undefined {
    return Object.hasOwn(LOOP, name) ? LOOP[name]?.(this) : undefined;
  }
}

const LOOP: Record<string, (loop: Loop) => Value> = {
  index: ({ i }) => BigInt(i + 1),
  index0: ({ i }) => BigInt(i),
  revindex: ({ items, i }) => BigInt(items.length - i),
  revindex0: ({ items, i }) => BigInt(items.length - i - 1),
  first: ({ i }) => i === 0,
  last: ({ items, i }) => i === items.length - 1,
  length: ({ items }) => BigInt(items.length),
  depth: ({ depth }) => BigInt(depth),
  depth0: ({ depth }) => BigInt(depth - 1),
  previtem: ({ items, i }) => orElse(items[i - 1], new Undefined('there is no previous item')),
  nextitem: ({ items, i }) => orElse(items[i + 1], new Undefined('there is no next item')),
  cycle:
    ({ i }) =>
    ({ args }) =>
      args[i % Math.max(1, args.length)] ?? null,
};
