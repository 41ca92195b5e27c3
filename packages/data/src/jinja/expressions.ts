import { needText } from './arguments.js';
import { type CallExpression, type Expression, type Identifier, type Member, type Node, partsOf } from './ast.js';
import { filterOf } from './filters.js';
import { attributeOf, isMethod } from './methods.js';
import { negate, operate, sliceOf } from './operators.js';
import type { Context, Evaluate, Scope } from './scope.js';
import { testNamed } from './tests.js';
import { NEGATED_FILTER, TEST_FILTER } from './tokens.js';
import {
  type Arguments,
  Float,
  isTrue,
  itemsOf,
  Namespace,
  orElse,
  TemplateError,
  tupleOf,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.js';

type Of<T extends Node['type']> = Extract<Node, { type: T }>;

/** Compiles an expression. @throws Unsupported naming what is not known here. */
export function expression(node: Node, context: Context): Evaluate {
  switch (node.type) {
    case 'StringLiteral': {
      const text = node.value;
      return () => text;
    }
    case 'IntegerLiteral': {
      const number = BigInt(node.value);
      return () => number;
    }
    case 'FloatLiteral': {
      const number = new Float(node.value);
      return () => number;
    }
    case 'ArrayLiteral': {
      const items = node.value.map((item) => expression(item, context));
      return (scope) => items.map((item) => item(scope));
    }
    case 'TupleLiteral': {
      const items = partsOf(node).map((item) => expression(item, context));
      return (scope) => tupleOf(items.map((item) => item(scope)));
    }
    case 'ObjectLiteral': {
      const entries = [...node.value].map(([key, of]) => [expression(key, context), expression(of, context)] as const);
      return (scope) => new Map(entries.map(([key, of]) => [key(scope), of(scope)]));
    }
    case 'Identifier': {
      const name = node.value;
      if (name === 'self' && !context.names.has(name)) throw new Unsupported(`the name 'self'`);
      return (scope) => orElse(scope.get(name), new Undefined(name));
    }
    case 'MemberExpression':
      return member(node, context);
    case 'CallExpression':
      return callExpression(node, context);
    case 'UnaryExpression': {
      const operand = expression(node.argument, context);
      const operator = node.operator.value;
      if (operator === 'not') return (scope) => !isTrue(operand(scope));
      return (scope) => negate(operator, operand(scope));
    }
    case 'BinaryExpression':
      return binary(node, context);
    case 'FilterExpression': {
      const operand = expression(node.operand, context);
      const filter = filtered(node.filter, context);
      return (scope) => filter(operand(scope), scope);
    }
    case 'TestExpression': {
      const operand = expression(node.operand, context);
      const test = testNamed(node.test.value);
      const none: Arguments = { args: [], named: new Map() };
      return (scope) => test(operand(scope), none) !== node.negate;
    }
    case 'Ternary':
    case 'SelectExpression':
      return ternary(node, context);
    default:
      throw new Unsupported(`the construct ${node.type}`);
  }
}

function ternary(node: Of<'Ternary' | 'SelectExpression'>, context: Context): Evaluate {
  const isWhole = node.type === 'Ternary';
  const test = expression(isWhole ? node.condition : node.test, context);
  const yes = expression(isWhole ? node.trueExpr : node.lhs, context);
  const no = isWhole ? expression(node.falseExpr, context) : () => new Undefined('the inline if without else');
  return (scope) => (isTrue(test(scope)) ? yes : no)(scope);
}

function binary(node: Of<'BinaryExpression'>, context: Context): Evaluate {
  const left = expression(node.left, context);
  const right = expression(node.right, context);
  const operator = node.operator.value;
  if (operator === 'and') {
    return (scope) => {
      const value = left(scope);
      return isTrue(value) ? right(scope) : value;
    };
  }
  if (operator === 'or') {
    return (scope) => {
      const value = left(scope);
      return isTrue(value) ? value : right(scope);
    };
  }
  return (scope) => operate(operator, left(scope), right(scope));
}

function member(node: Member, context: Context): Evaluate {
  const object = expression(node.object, context);
  const { property } = node;
  if (!node.computed) {
    const name =
      property.type === 'IntegerLiteral'
        ? BigInt(property.value)
        : property.type === 'Identifier'
          ? property.value
          : '';
    return (scope) => attributeOf(object(scope), name, true);
  }
  if (property.type !== 'SliceExpression') {
    const key = expression(property, context);
    return (scope) => attributeOf(object(scope), key(scope), false);
  }
  const bound = (part: Expression | undefined): Evaluate =>
    part === undefined ? () => null : expression(part, context);
  const [start, stop, step] = [bound(property.start), bound(property.stop), bound(property.step)];
  return (scope) => sliceOf(object(scope), start(scope), stop(scope), step(scope));
}

function callExpression(node: CallExpression, context: Context): Evaluate {
  refuseUnknown(node.callee, context);
  const called = expression(node.callee, context);
  const given = argumentsOf(node.args, context);
  return (scope) => call(called(scope), given(scope));
}

/** What nothing here can be called by: a function or method of Jinja that is missing. */
function refuseUnknown(callee: Expression, { names }: Context): void {
  if (callee.type === 'Identifier' && !names.has(callee.value)) throw new Unsupported(`the function '${callee.value}'`);
  if (callee.type !== 'MemberExpression' || callee.computed || callee.property.type !== 'Identifier') return;
  const { value } = callee.property;
  const isLoop = callee.object.type === 'Identifier' && callee.object.value === 'loop' && value === 'cycle';
  if (!isLoop && !isMethod(value)) throw new Unsupported(`the method '${value}'`);
}

export function call(called: Value, given: Arguments): Value {
  if (typeof called === 'function') return called(given);
  if (called instanceof Namespace && called.call) return called.call(given);
  if (called instanceof Undefined) throw new TemplateError(`'${called.name}' is undefined`);
  throw new TemplateError(`'${typeName(called)}' object is not callable`);
}

export function filtered(filter: Identifier | CallExpression, context: Context): (value: Value, scope: Scope) => Value {
  const isPlain = filter.type === 'Identifier';
  const callee = isPlain ? filter : filter.callee;
  if (callee.type !== 'Identifier') throw new Unsupported(`the filter ${callee.type}`);
  if (callee.value.startsWith(TEST_FILTER)) return testWith(callee.value, isPlain ? [] : filter.args, context);
  const change = filterOf(callee.value);
  const args = isPlain ? [] : filter.args;
  refuseUnknownNames(callee.value, args);
  const given = argumentsOf(args, context);
  return (value, scope) => change(value, given(scope));
}

/** Filters whose argument names a filter or a test, by its place. */
const NAMING: Record<string, { at: number; find: (name: string) => unknown }> = {
  map: { at: 0, find: filterOf },
  select: { at: 0, find: testNamed },
  reject: { at: 0, find: testNamed },
  selectattr: { at: 1, find: testNamed },
  rejectattr: { at: 1, find: testNamed },
};

/** A filter or a test that is named by a text is known before anything is rendered. */
function refuseUnknownNames(filter: string, args: readonly Expression[]): void {
  const naming = Object.hasOwn(NAMING, filter) ? NAMING[filter] : undefined;
  const name = naming && args[naming.at];
  if (name?.type === 'StringLiteral') naming?.find(name.value);
}

/** A test with arguments, which comes as a filter. */
function testWith(
  name: string,
  args: readonly Expression[],
  context: Context,
): (value: Value, scope: Scope) => boolean {
  const negates = name.startsWith(NEGATED_FILTER);
  const test = testNamed(name.slice((negates ? NEGATED_FILTER : TEST_FILTER).length));
  const given = argumentsOf(args, context);
  return (value, scope) => test(value, given(scope)) !== negates;
}

export function argumentsOf(nodes: readonly Expression[], context: Context): (scope: Scope) => Arguments {
  const parts = nodes.map((node) => {
    if (node.type === 'KeywordArgumentExpression') return [node.key.value, expression(node.value, context)] as const;
    if (node.type === 'SpreadExpression') return ['*', expression(node.argument, context)] as const;
    if (node.type === 'KeywordSpreadExpression') return ['**', expression(node.argument, context)] as const;
    return [null, expression(node, context)] as const;
  });
  refuseTwice(parts.map(([name]) => name));
  return (scope) => {
    const given: Arguments = { args: [], named: new Map() };
    for (const [name, evaluate] of parts) {
      const value = evaluate(scope);
      if (name === null) given.args.push(value);
      else if (name === '*') given.args.push(...itemsOf(value));
      else for (const [key, of] of name === '**' ? namesOf(value) : [[name, value] as const]) addNamed(given, key, of);
    }
    return given;
  };
}

function refuseTwice(names: readonly (string | null)[]): void {
  const named = names.filter((name) => name !== null && !name.startsWith('*'));
  const twice = named.find((name, i) => named.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`the argument '${twice}' stands twice in a call`);
}

/** What `**` of a value gives by name. */
function namesOf(value: Value): [string, Value][] {
  if (value instanceof Undefined) throw new TemplateError(`'${value.name}' is undefined`);
  if (!(value instanceof Map)) throw new TemplateError(`argument after ** must be a mapping, not ${typeName(value)}`);
  return [...value].map(([key, of]) => [needText(key, 'a name of an argument'), of]);
}

function addNamed({ named }: Arguments, name: string, value: Value): void {
  if (named.has(name)) throw new TemplateError(`got multiple values for keyword argument '${name}'`);
  named.set(name, value);
}
