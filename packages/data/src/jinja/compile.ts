import {
  declaredNames,
  type Expression,
  loopTarget,
  type Node,
  type Parameter,
  parseTemplate,
  partsOf,
  type Target,
} from './ast.js';
import { Written } from './bounds.js';
import { argumentsOf, call, expression, filtered } from './expressions.js';
import { GLOBAL_NAMES, globalsOn, Loop, Macro } from './globals.js';
import { type Context, type Execute, Scope } from './scope.js';
import {
  type Arguments,
  type Callable,
  isTrue,
  itemsOf,
  Namespace,
  orElse,
  TemplateError,
  toText,
  tupleOf,
  Undefined,
  Unsupported,
  type Value,
} from './values.js';

/** `break` and `continue` on their way to their loop. */
class LoopSignal extends Error {
  constructor(readonly isBreak: boolean) {
    super();
  }
}

export type Render = (values: ReadonlyMap<string, Value>, day: Date) => string;

/**
 * Compiles a Jinja template with Python's meaning of every construct, as transformers renders chat templates. The syntax is read by
 * `@huggingface/jinja`. `variables` are the names it is rendered with.
 * @throws Unsupported naming a construct that is not known here, Error for wrong syntax.
 */
export function compileJinja(source: string, variables: readonly string[]): Render {
  const nodes = parseTemplate(source);
  const context = { names: new Set([...declaredNames(nodes), ...GLOBAL_NAMES, ...variables]) };
  const run = block(nodes, context);
  return (values, day) => {
    const globals = new Scope(null);
    for (const [name, value] of [...globalsOn(day), ...values]) globals.set(name, value);
    const out = new Written();
    run(new Scope(globals), out);
    return out.text();
  };
}

function block(nodes: readonly Node[], context: Context): Execute {
  const parts = nodes.map((node) => statement(node, context));
  return (scope, out) => {
    for (const part of parts) part(scope, out);
  };
}

function statement(node: Node, context: Context): Execute {
  switch (node.type) {
    case 'If':
      return ifStatement(node, context);
    case 'For':
      return forStatement(node, context);
    case 'Set':
      return setStatement(node, context);
    case 'Macro': {
      const make = macro(node.name.value, node.args, node.body, context);
      return (scope) => scope.set(node.name.value, make(scope));
    }
    case 'CallStatement':
      return callStatement(node, context);
    case 'FilterStatement': {
      const body = captured(block(node.body, context));
      const filter = filtered(node.filter, context);
      return (scope, out) => out.push(toText(filter(body(scope), scope)));
    }
    case 'Comment':
      return () => undefined;
    case 'Break':
    case 'Continue':
      return () => {
        throw new LoopSignal(node.type === 'Break');
      };
    default: {
      const value = expression(node, context);
      return (scope, out) => out.push(toText(value(scope)));
    }
  }
}

type Of<T extends Node['type']> = Extract<Node, { type: T }>;

function ifStatement(node: Of<'If'>, context: Context): Execute {
  const test = expression(node.test, context);
  const body = block(node.body, context);
  const alternate = block(node.alternate, context);
  return (scope, out) => (isTrue(test(scope)) ? body : alternate)(scope, out);
}

function forStatement(node: Of<'For'>, context: Context): Execute {
  const select = node.iterable.type === 'SelectExpression' ? node.iterable : null;
  const iterable = expression(select?.lhs ?? node.iterable, context);
  const test = select && expression(select.test, context);
  const body = block(node.body, context);
  const otherwise = block(node.defaultBlock, context);
  const { target, isRecursive } = loopTarget(node.loopvar);
  const goThrough = (all: Value[], depth: number, scope: Scope, out: Written): void => {
    const inner = (item: Value): Scope => {
      const made = new Scope(scope);
      assign(target, item, made);
      return made;
    };
    const again: Callable = ({ args }) => {
      const written = new Written();
      goThrough(itemsOf(args[0] ?? null), depth + 1, scope, written);
      return written.text();
    };
    const items = test === null ? all : all.filter((item) => isTrue(test(inner(item))));
    // Jinja takes a round that `break` or `continue` ends for none.
    let wentThrough = false;
    for (const [i, item] of items.entries()) {
      const iteration = inner(item);
      iteration.set('loop', new Loop(items, i, depth, isRecursive ? again : null));
      try {
        body(iteration, out);
        wentThrough = true;
      } catch (signal) {
        if (!(signal instanceof LoopSignal)) throw signal;
        if (signal.isBreak) break;
      }
    }
    if (!wentThrough) otherwise(new Scope(scope), out);
  };
  return (scope, out) => goThrough(itemsOf(iterable(scope)), 1, scope, out);
}

function assign(target: Target | Expression, value: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.set(target.value, value);
    return;
  }
  if (target.type !== 'TupleLiteral') throw new Unsupported(`a value for ${target.type}`);
  const items = itemsOf(value);
  const parts = partsOf(target);
  if (items.length !== parts.length) throw new TemplateError(`${items.length} values for ${parts.length} names`);
  for (const [i, part] of parts.entries()) assign(part, items[i] as Value, scope);
}

function setStatement(node: Of<'Set'>, context: Context): Execute {
  const value = node.value === null ? captured(block(node.body, context)) : expression(node.value, context);
  const { assignee } = node;
  if (assignee.type === 'FilterExpression') throw new Unsupported('a filter in a set block');
  if (assignee.type !== 'MemberExpression') return (scope) => assign(assignee, value(scope), scope);
  const object = expression(assignee.object, context);
  const { property } = assignee;
  if (property.type !== 'Identifier') throw new Unsupported('a value for an item of a list or dictionary');
  return (scope) => {
    const self = object(scope);
    if (!(self instanceof Namespace) || self instanceof Loop || self instanceof Macro)
      throw new TemplateError('cannot assign attribute on non-namespace object');
    self.values.set(property.value, value(scope));
  };
}

/** What a block writes, as a value; names that it sets are its own. */
const captured =
  (body: Execute): ((scope: Scope) => string) =>
  (scope) => {
    const out = new Written();
    body(new Scope(scope), out);
    return out.text();
  };

function macro(
  name: string | null,
  parameters: readonly Parameter[],
  body: readonly Node[],
  context: Context,
): (scope: Scope) => Macro {
  const names = parameters.map((one) => (one.type === 'Identifier' ? one.value : one.key.value));
  const defaults = parameters.map((one) => (one.type === 'Identifier' ? null : expression(one.value, context)));
  const inner = { names: new Set([...context.names, 'kwargs', 'varargs']) };
  const run = captured(block(body, inner));
  const takes = {
    varargs: usesName(body, 'varargs'),
    kwargs: usesName(body, 'kwargs'),
    caller: usesName(body, 'caller'),
  };
  const about = new Map<string, Value>([
    ['name', name],
    ['arguments', tupleOf(names)],
    ['catch_varargs', takes.varargs],
    ['catch_kwargs', takes.kwargs],
    ['caller', takes.caller],
  ]);
  const called = (scope: Scope, { args, named }: Arguments): Value => {
    const byName = names.slice(args.length);
    const rest = [...named].filter(([key]) => !byName.includes(key) && (key !== 'caller' || !takes.caller));
    const of = `macro ${name === null ? 'None' : `'${name}'`}`;
    if (args.length > names.length && !takes.varargs)
      throw new TemplateError(`${of} takes not more than ${names.length} argument(s)`);
    if (rest[0] !== undefined && !takes.kwargs)
      throw new TemplateError(`${of} takes no keyword argument '${rest[0][0]}'`);
    const made = new Scope(scope);
    for (const [i, key] of names.entries())
      made.set(key, orElse(orElse(orElse(args[i], named.get(key)), defaults[i]?.(made)), new Undefined(key)));
    made.set('varargs', tupleOf(args.slice(names.length)));
    made.set('kwargs', new Map<Value, Value>(rest));
    made.set('caller', named.get('caller') ?? new Undefined('caller'));
    return run(made);
  };
  return (scope) => new Macro((given) => called(scope, given), about);
}

/** Whether a name stands anywhere in a part of the tree; literals of dictionaries are maps in it. */
function usesName(part: unknown, name: string): boolean {
  if (typeof part !== 'object' || part === null) return false;
  if (part instanceof Map) return [...part].some(([key, value]) => usesName(key, name) || usesName(value, name));
  if ('type' in part && part.type === 'Identifier' && 'value' in part) return part.value === name;
  return Object.values(part).some((inner) => usesName(inner, name));
}

function callStatement(node: Of<'CallStatement'>, context: Context): Execute {
  const called = expression(node.call.callee, context);
  const given = argumentsOf(node.call.args, context);
  const caller = macro(null, node.callerArgs ?? [], node.body, context);
  return (scope, out) => {
    const { args, named } = given(scope);
    out.push(toText(call(called(scope), { args, named: new Map(named).set('caller', caller(scope)) })));
  };
}
