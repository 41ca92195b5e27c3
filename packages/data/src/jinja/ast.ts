import { parse, tokenize } from '@huggingface/jinja';
import { rewriteTokens } from './tokens.js';

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

/** Reads a template with the settings of transformers. @throws Error with the library's words. */
export function parseTemplate(source: string): Node[] {
  const tokens = tokenize(source, { lstrip_blocks: true, trim_blocks: true });
  try {
    return parse(rewriteTokens(tokens) as typeof tokens).body as unknown as Node[];
  } catch (cause) {
    // The library looks behind the last token.
    if (cause instanceof TypeError) throw new Error('it ends inside a statement or a block', { cause });
    throw cause;
  }
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
