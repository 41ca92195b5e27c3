import { parse, tokenize } from '@huggingface/jinja';
import { RECURSIVE, rewriteTokens, TUPLE_END } from './tokens.js';
import { Unsupported } from './values.js';

/** The syntax tree of a template as `@huggingface/jinja` makes it; it exports no types of its own. */
export type Node = Statement | Expression;

export type Statement =
  | { type: 'If'; test: Expression; body: Node[]; alternate: Node[] }
  | { type: 'For'; loopvar: Target; iterable: Expression; body: Node[]; defaultBlock: Node[] }
  | { type: 'Set'; assignee: Expression; value: Expression | null; body: Node[] }
  | { type: 'Macro'; name: Identifier; args: Parameter[]; body: Node[] }
  | { type: 'CallStatement'; call: CallExpression; callerArgs: Parameter[] | null; body: Node[] }
  | { type: 'FilterStatement'; filter: Identifier | CallExpression; body: Node[] }
  | { type: 'Comment' }
  | { type: 'Break' }
  | { type: 'Continue' };

export interface Identifier {
  type: 'Identifier';
  value: string;
}
export interface CallExpression {
  type: 'CallExpression';
  callee: Expression;
  args: Expression[];
}
export interface KeywordArgument {
  type: 'KeywordArgumentExpression';
  key: Identifier;
  value: Expression;
}
export interface Tuple {
  type: 'TupleLiteral';
  value: Expression[];
}
export interface Member {
  type: 'MemberExpression';
  object: Expression;
  property: Expression;
  computed: boolean;
}
export interface Slice {
  type: 'SliceExpression';
  start?: Expression;
  stop?: Expression;
  step?: Expression;
}
export type Target = Identifier | Tuple;
export type Parameter = Identifier | KeywordArgument;

export type Expression =
  | Identifier
  | CallExpression
  | KeywordArgument
  | Tuple
  | Member
  | Slice
  | { type: 'IntegerLiteral' | 'FloatLiteral'; value: number }
  | { type: 'StringLiteral'; value: string }
  | { type: 'ArrayLiteral'; value: Expression[] }
  | { type: 'ObjectLiteral'; value: Map<Expression, Expression> }
  | { type: 'BinaryExpression'; operator: { value: string }; left: Expression; right: Expression }
  | { type: 'UnaryExpression'; operator: { value: string }; argument: Expression }
  | { type: 'FilterExpression'; operand: Expression; filter: Identifier | CallExpression }
  | { type: 'TestExpression'; operand: Expression; negate: boolean; test: Identifier }
  | { type: 'SelectExpression'; lhs: Expression; test: Expression }
  | { type: 'Ternary'; condition: Expression; trueExpr: Expression; falseExpr: Expression }
  | { type: 'SpreadExpression' | 'KeywordSpreadExpression'; argument: Expression };

/**
 * Reads a template with the settings of transformers.
 * @throws Unsupported naming what the library does not read, Error with its words for wrong syntax.
 */
export function parseTemplate(source: string): Node[] {
  try {
    const tokens = tokenize(prepare(source), { lstrip_blocks: true, trim_blocks: true });
    return parse(rewriteTokens(tokens) as typeof tokens).body as unknown as Node[];
  } catch (cause) {
    // The library looks behind the last token.
    if (cause instanceof TypeError) throw new Error('it ends inside a statement or a block', { cause });
    throw unreadPart(cause) ?? cause;
  }
}

/**
 * All ends of lines are line feeds, as Jinja reads them. `{%+` and `+%}` keep the white space beside them: an empty text stands between, so
 * that the library has nothing to strip. `{% generation %}`, which it would drop, is a block that changes nothing and keeps the names that
 * are set in it.
 */
const prepare = (source: string): string =>
  source
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/\{%([-+]?)\s*generation\s*([-+]?)%\}/g, '{%$1 filter string $2%}')
    .replaceAll(/\{%([-+]?)\s*endgeneration\s*([-+]?)%\}/g, '{%$1 endfilter $2%}')
    .replaceAll('{%+', "{{ '' }}{%")
    .replaceAll('+%}', "%}{{ '' }}");

/** Statements of Jinja and letters of its texts that the library does not know. */
function unreadPart(cause: unknown): Unsupported | null {
  const message = cause instanceof Error ? cause.message : '';
  const statement = /^Unknown statement type: (?!end|el)(\w+)$/.exec(message)?.[1];
  if (statement !== undefined) return new Unsupported(`the statement '${statement}'`, { cause });
  const escaped = /^Unexpected escaped character: (.)$/s.exec(message)?.[1];
  return escaped === undefined ? null : new Unsupported(`'\\${escaped}' in a text`, { cause });
}

const isMark = (node: Expression, mark: string): boolean => node.type === 'Identifier' && node.value === mark;

/** The items of a tuple, without the mark of one that a comma ends. */
export const partsOf = <T extends Target | Expression>({ value }: { value: T[] }): T[] =>
  value.filter((part) => !isMark(part, TUPLE_END));

/** The names of a loop, and whether it calls itself. */
export function loopTarget(loopvar: Target): { target: Target; isRecursive: boolean } {
  if (loopvar.type !== 'TupleLiteral' || !loopvar.value.some((part) => isMark(part, RECURSIVE)))
    return { target: loopvar, isRecursive: false };
  const [first, ...others] = loopvar.value.filter((part) => !isMark(part, RECURSIVE)) as Target[];
  if (first === undefined) throw new Error('a loop without a name');
  return {
    target: others.length === 0 ? first : { type: 'TupleLiteral', value: [first, ...others] },
    isRecursive: true,
  };
}

/** Every name that the template gives a value to somewhere. */
export function declaredNames(nodes: readonly Node[]): Set<string> {
  const names = new Set<string>();
  const declare = (target: Expression | Parameter): void => {
    if (target.type === 'Identifier') names.add(target.value);
    else if (target.type === 'KeywordArgumentExpression') names.add(target.key.value);
    else if (target.type === 'TupleLiteral') target.value.forEach(declare);
  };
  const visit = (node: Node): void => {
    if (node.type === 'For') declare(node.loopvar);
    if (node.type === 'Set') declare(node.assignee);
    if (node.type === 'Macro') [node.name, ...node.args].forEach(declare);
    if (node.type === 'CallStatement') node.callerArgs?.forEach(declare);
    if ('body' in node) node.body.forEach(visit);
    if (node.type === 'If') node.alternate.forEach(visit);
    if (node.type === 'For') node.defaultBlock.forEach(visit);
  };
  nodes.forEach(visit);
  return names;
}
