import { Unsupported } from './values.js';

/** A piece of a template's syntax as `@huggingface/jinja` cuts it. */
export interface Token {
  type: string;
  value: string;
}

/** How the name of a filter begins that stands for a test with an argument. */
export const TEST_FILTER = 'is ';
export const NEGATED_FILTER = 'is not ';

/**
 * Writes what the parser does not know in what it knows: a test with an argument (`is divisibleby(3)`, `is eq x.y`) as a filter of a name of
 * its own, a tuple of one (`(x,)`), of none, or with a comma at its end as a list.
 * @throws Unsupported for what the parser would read otherwise than Python.
 */
export function rewriteTokens(tokens: readonly Token[]): Token[] {
  refuseChains(tokens);
  return writeTuples(writeTests(tokens));
}

const OPENING: Record<string, string> = {
  OpenParen: 'CloseParen',
  OpenSquareBracket: 'CloseSquareBracket',
  OpenCurlyBracket: 'CloseCurlyBracket',
};

const CLOSING = Object.values(OPENING);

/** Words that cannot be an argument: they go on with the expression around the test. */
const WORDS = ['else', 'or', 'and', 'if', 'is', 'in', 'not'];
/** What the argument of a test may begin with. */
const ARGUMENTS = ['Identifier', 'StringLiteral', 'NumericLiteral', 'OpenSquareBracket', 'OpenCurlyBracket'];

const isWord = (token: Token | undefined, ...words: string[]): boolean =>
  token?.type === 'Identifier' && words.includes(token.value);

function writeTests(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i += 1) {
    const token = tokens[i] as Token;
    const negates = isWord(tokens[i + 1], 'not');
    const at = i + (negates ? 2 : 1);
    const name = tokens[at];
    const end = isWord(token, 'is') && name?.type === 'Identifier' ? endOfArgument(tokens, at + 1) : null;
    if (end === null || name === undefined) {
      out.push(token);
      continue;
    }
    const filter = { type: 'Identifier', value: `${negates ? NEGATED_FILTER : TEST_FILTER}${name.value}` };
    const given = writeTests(tokens.slice(at + 1, end));
    const isCall = given[0]?.type === 'OpenParen';
    const inner = isCall ? given : [{ type: 'OpenParen', value: '(' }, ...given, { type: 'CloseParen', value: ')' }];
    out.push({ type: 'Pipe', value: '|' }, filter, ...inner);
    i = end - 1;
  }
  return out;
}

/** Behind the argument of a test that begins at `from`; null where it has none. */
function endOfArgument(tokens: readonly Token[], from: number): number | null {
  const first = tokens[from];
  if (first === undefined) return null;
  if (first.type === 'OpenParen') return behindBracket(tokens, from);
  if (!ARGUMENTS.includes(first.type) || isWord(first, ...WORDS)) return null;
  let end = first.type in OPENING ? behindBracket(tokens, from) : from + 1;
  for (let next = tokens[end]; next !== undefined; next = tokens[end]) {
    if (next.type === 'StringLiteral' && tokens[end - 1]?.type === 'StringLiteral') end += 1;
    else if (next.type === 'Dot') end += 2;
    else if (next.type === 'OpenSquareBracket' || next.type === 'OpenParen') end = behindBracket(tokens, end);
    else break;
  }
  return end;
}

function behindBracket(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i += 1) {
    const { type } = tokens[i] as Token;
    if (type in OPENING) depth += 1;
    if (CLOSING.includes(type)) depth -= 1;
    if (depth === 0) return i + 1;
  }
  return tokens.length;
}

/** What a bracket behind it would call or index. */
const isCallee = (token: Token | undefined): boolean =>
  token !== undefined &&
  (['CloseParen', 'CloseSquareBracket'].includes(token.type) ||
    (token.type === 'Identifier' && ![...WORDS, 'elif', 'set'].includes(token.value)));

function writeTuples(tokens: readonly Token[]): Token[] {
  const out = [...tokens];
  for (const [open, token] of tokens.entries()) {
    if (token.type !== 'OpenParen' || isCallee(tokens[open - 1])) continue;
    const close = behindBracket(tokens, open) - 1;
    if (tokens[close]?.type !== 'CloseParen' || (close > open + 1 && tokens[close - 1]?.type !== 'Comma')) continue;
    out[open] = { type: 'OpenSquareBracket', value: '[' };
    out[close] = { type: 'CloseSquareBracket', value: ']' };
  }
  return out;
}
/** What ends an operand of `and`, `or` and `if`. */
const BORDERS = ['Comma', 'Colon', 'Equals', 'OpenStatement', 'CloseStatement', 'OpenExpression', 'CloseExpression'];

/** `1 < x < 3` means in Python that both hold; the parser compares the first answer with the last value. */
function refuseChains(tokens: readonly Token[]): void {
  // Comparisons of the operand so far, for each open bracket.
  let counts = [0];
  for (const [i, token] of tokens.entries()) {
    const last = counts.length - 1;
    if (token.type in OPENING) counts.push(0);
    else if (CLOSING.includes(token.type)) counts = counts.slice(0, -1);
    else if (BORDERS.includes(token.type) || isWord(token, 'and', 'or', 'if', 'else')) counts[last] = 0;
    else if (token.type === 'ComparisonBinaryOperator' || (isWord(token, 'in') && !isLoop(tokens, i))) {
      counts[last] = (counts[last] ?? 0) + 1;
      if (counts[last] > 1) throw new Unsupported('a chain of comparisons');
    }
  }
}

/** Whether this `in` is that of a loop, or of a test. */
function isLoop(tokens: readonly Token[], at: number): boolean {
  const [before, earlier] = [tokens[at - 1], tokens[at - 2]];
  if (isWord(before, 'is') || (isWord(before, 'not') && isWord(earlier, 'is'))) return true;
  const begin = tokens.slice(0, at).findLastIndex(({ type }) => type === 'OpenStatement');
  return isWord(tokens[begin + 1], 'for') && !tokens.slice(begin + 2, at).some((token) => isWord(token, 'in'));
}
