import { bind } from './arguments.js';
import { isLower, isUpper } from './letters.js';
import {
  type Arguments,
  compare,
  Float,
  isEqual,
  isNumber,
  itemsOf,
  Lazy,
  Namespace,
  TemplateError,
  toText,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.js';

type Test = (value: Value, given: Arguments) => boolean;

const other = (given: Arguments, of: string): Value => bind(given, ['other'], of)[0] ?? null;

const isSequence = (value: Value): boolean => typeof value === 'string' || Array.isArray(value) || value instanceof Map;

const divides = (value: Value, by: bigint): boolean => {
  if (by === 0n) throw new TemplateError('integer modulo by zero');
  if (typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value) % by === 0n;
  throw new TemplateError(`unsupported operand type(s) for %: '${typeName(value)}' and 'int'`);
};

/** Whether a value stands in a text, a list or a dictionary. */
export function isIn(value: Value, container: Value): boolean {
  if (typeof container === 'string') {
    if (typeof value === 'string') return container.includes(value);
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(value)}`);
  }
  if (container instanceof Map) return container.has(value);
  if (container instanceof Lazy) return isAhead(value, container);
  return itemsOf(container).some((item) => isEqual(item, value));
}

/** Whether a value comes yet; what comes behind it is left. */
function isAhead(value: Value, items: Lazy): boolean {
  for (let item = items.next(); item !== undefined; item = items.next()) if (isEqual(item, value)) return true;
  return false;
}

const TESTS: Record<string, Test> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) =>
    typeof value === 'function' || value instanceof Undefined || (value instanceof Namespace && value.call !== null),
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, given) => {
    const [by] = bind(given, ['num'], 'divisibleby');
    return typeof by === 'bigint' && divides(value, by);
  },
  eq: (value, given) => isEqual(value, other(given, 'eq')),
  even: (value) => divides(value, 2n),
  false: (value) => value === false,
  float: (value) => value instanceof Float,
  ge: (value, given) => compare(value, other(given, 'ge')) >= 0,
  gt: (value, given) => compare(value, other(given, 'gt')) > 0,
  in: (value, given) => isIn(value, other(given, 'in')),
  integer: (value) => typeof value === 'bigint',
  iterable: (value) => isSequence(value) || value instanceof Lazy || value instanceof Undefined,
  le: (value, given) => compare(value, other(given, 'le')) <= 0,
  lower: (value) => isLower(toText(value)),
  lt: (value, given) => compare(value, other(given, 'lt')) < 0,
  mapping: (value) => value instanceof Map,
  ne: (value, given) => !isEqual(value, other(given, 'ne')),
  none: (value) => value === null,
  number: isNumber,
  odd: (value) => !divides(value, 2n),
  sameas: (value, given) => value === other(given, 'sameas'),
  sequence: isSequence,
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => isUpper(toText(value)),
};

const ALIASES: Record<string, string> = {
  '==': 'eq',
  equalto: 'eq',
  '!=': 'ne',
  '>': 'gt',
  greaterthan: 'gt',
  '>=': 'ge',
  '<': 'lt',
  lessthan: 'lt',
  '<=': 'le',
};

/** A test. @throws Unsupported naming one that is not known here. */
export function testNamed(name: string): Test {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  const test = known !== undefined && Object.hasOwn(TESTS, known) ? TESTS[known] : undefined;
  if (test === undefined) throw new Unsupported(`the test '${name}'`);
  return test;
}

/** A test with its arguments. @throws Unsupported as `testNamed`. */
export function testOf(name: string, given: Arguments): (value: Value) => boolean {
  const test = testNamed(name);
  return (value) => test(value, given);
}
