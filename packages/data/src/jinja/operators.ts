import { lengthOf } from './arguments.js';
import { boundedPower, boundedWhole, joinTexts, refuseLongList, repeatText } from './bounds.js';
import { formatPercent } from './percent.js';
import { isIn } from './tests.js';
import {
  compare,
  Float,
  isEqual,
  isNumber,
  TemplateError,
  Tuple,
  toFloat,
  toText,
  tupleOf,
  typeName,
  Undefined,
  Unsupported,
  type Value,
  View,
} from './values.js';

/** An operator on two values; `and` and `or` are none of these. @throws TemplateError where Python has none for their types. */
export function operate(operator: string, left: Value, right: Value): Value {
  switch (operator) {
    case '==':
      return isEqual(left, right);
    case '!=':
      return !isEqual(left, right);
    case 'in':
      return isIn(left, right);
    case 'not in':
      return !isIn(left, right);
    case '~':
      return joinTexts([toText(left), toText(right)]);
    case '<':
      return compare(left, right) < 0;
    case '>':
      return compare(left, right) > 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>=':
      return compare(left, right) >= 0;
    default:
      return calculate(operator, left, right);
  }
}

function calculate(operator: string, left: Value, right: Value): Value {
  if (operator === '%' && typeof left === 'string') return formatPercent(left, right);
  for (const side of [left, right])
    if (side instanceof Undefined) throw new TemplateError(`'${side.name}' is undefined`);
  if (operator === '+' && typeof left === 'string' && typeof right === 'string') return joinTexts([left, right]);
  if (operator === '+' && Array.isArray(left) && Array.isArray(right) && left.constructor === right.constructor) {
    refuseLongList(left.length + right.length);
    return alike(left, [...left, ...right]);
  }
  if (operator === '*' && isSequence(right)) return repeated(right, left);
  if (operator === '*' && isSequence(left)) return repeated(left, right);
  if (isNumber(left) && isNumber(right)) return arithmetic(operator, left, right);
  const types = `'${typeName(left)}' and '${typeName(right)}'`;
  throw new TemplateError(`unsupported operand type(s) for ${operator}: ${types}`);
}

function arithmetic(operator: string, left: bigint | boolean | Float, right: bigint | boolean | Float): Value {
  if (['/', '//', '%'].includes(operator) && toFloat(right) === 0) throw new TemplateError('division by zero');
  const isWhole = !(left instanceof Float || right instanceof Float);
  if (isWhole && operator !== '/' && !(operator === '**' && BigInt(right) < 0n)) {
    return boundedWhole(wholeArithmetic(operator, BigInt(left), BigInt(right)));
  }
  const [a, b] = [toFloat(left), toFloat(right)];
  switch (operator) {
    case '+':
      return new Float(a + b);
    case '-':
      return new Float(a - b);
    case '*':
      return new Float(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return new Float(Math.floor(a / b));
    case '%':
      return new Float(a - b * Math.floor(a / b));
    case '**':
      return new Float(a ** b);
    default:
      throw new Unsupported(`the operator '${operator}'`);
  }
}

/** Python rounds a quotient down, where JavaScript cuts it. */
function wholeArithmetic(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '//':
      return (a - modulo(a, b)) / b;
    case '%':
      return modulo(a, b);
    case '**':
      return boundedPower(a, b);
    default:
      throw new Unsupported(`the operator '${operator}'`);
  }
}

const isSequence = (value: Value): value is string | Value[] =>
  typeof value === 'string' || (Array.isArray(value) && !(value instanceof View));

/** Items as a sequence of the kind of another. */
const alike = (other: Value[], items: Value[]): Value[] => (other instanceof Tuple ? tupleOf(items) : items);

function repeated(sequence: string | Value[], times: Value): Value {
  if (typeof times !== 'bigint' && typeof times !== 'boolean')
    throw new TemplateError(`can't multiply sequence by non-int of type '${typeName(times)}'`);
  const count = Math.max(0, Number(times));
  if (typeof sequence === 'string') return repeatText(sequence, count);
  refuseLongList(sequence.length * count);
  return alike(sequence, Array.from({ length: count }, () => [...sequence]).flat());
}

const modulo = (a: bigint, b: bigint): bigint => ((a % b) + b) % b;

/** `-a`, `+a` and `not` have no other operand. */
export function negate(operator: string, value: Value): Value {
  if (!isNumber(value)) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = value instanceof Float ? value : BigInt(value);
  if (operator === '+') return number;
  return number instanceof Float ? new Float(-number.value) : -number;
}

/** Python's `a[start:stop:step]` of a text or a list. */
export function sliceOf(value: Value, start: Value, stop: Value, step: Value): Value {
  if (!(typeof value === 'string' || Array.isArray(value))) {
    throw new TemplateError(`'${typeName(value)}' object cannot be cut`);
  }
  const length = lengthOf(value);
  const by = step === null ? 1 : Number(step);
  if (by === 0) throw new TemplateError('slice step cannot be zero');
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const bound = (at: Value, otherwise: number): number => {
    if (at === null) return otherwise;
    const place = Number(at);
    return Math.min(high, Math.max(low, place < 0 ? place + length : place));
  };
  const from = bound(start, by > 0 ? low : high);
  const to = bound(stop, by > 0 ? high : low);
  const items = typeof value === 'string' ? [...value] : value;
  const taken: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) taken.push(items[i] as Value);
  return typeof value === 'string' ? taken.join('') : alike(value, taken);
}
