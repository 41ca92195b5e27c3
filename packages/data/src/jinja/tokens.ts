import { Unsupported } from './values.js';

/** A piece of a template's syntax as `@huggingface/jinja` cuts it. */
export interface Token {
  type: string;
  value: string;
}

/** How the name of a filter begins that stands for a test with an argument. */
export const TEST_FILTER = 'is ';
export const NEGATED_FILTER = 'is not ';

/** The last item of a tuple that a comma ends, and the last name of a loop that calls itself: names that no template can have. */
export const TUPLE_END = '# tuple';
export const RECURSIVE = '# recursive';

/**
 * Writes what the parser does not know in what it knows: a test with an argument (`is divisibleby(3)`, `is eq x.y`) as a filter of a name of
 * its own, a tuple of none or with a comma at its end (`(x,)`) as one with a mark at its end, tuples without brackets in brackets, a
 * recursive loop by a mark among its names, numbers that the parser does not read as they are.
 * @throws Unsupported for what the parser would read otherwise than Python.
 */
export function rewriteTokens(tokens: readonly Token[]): Token[] {
  refuseChains(tokens);
  refuseFilterChains(tokens);
  return writeTuples(writeLoops(writeNumbers(writeTests(tokens))));
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
    (token.type === 'Identifier' && ![...WORDS, 'elif', 'set', 'for'].includes(token.value)));

const of = (type: string, value: string): Token => ({ type, value });
const OPEN = of('OpenParen', '(');
const CLOSE = of('CloseParen', ')');
const COMMA = of('Comma', ',');
const END = of('Identifier', TUPLE_END);

/** Tuples of none, and those with a comma before their end, get a mark there; those of an expression without brackets get brackets. */
function writeTuples(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  // Whether a bracket that is open holds a tuple.
  const brackets: boolean[] = [];
  for (const [i, token] of tokens.entries()) {
    const next = tokens[i + 1];
    out.push(token);
    if (token.type in OPENING) {
      const mayBeTuple = token.type === 'OpenParen' && !isCallee(tokens[i - 1]);
      brackets.push(mayBeTuple);
      if (mayBeTuple && next?.type === 'CloseParen') out.push(END, COMMA, END);
    } else if (CLOSING.includes(token.type)) brackets.pop();
    else if (token.type === 'Comma' && (brackets.at(-1) ?? true) && endsTuple(next)) out.push(END);
  }
  return bracketExpressions(out);
}

const endsTuple = (token: Token | undefined): boolean =>
  ['CloseParen', 'CloseStatement', 'CloseExpression'].includes(token?.type ?? '');

/** Brackets around `{{ 1, 2 }}` and around what `for x in 1, 2` goes through. */
function bracketExpressions(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  let close = -1;
  for (const [i, token] of tokens.entries()) {
    if (i === close) out.push(CLOSE);
    out.push(token);
    const begins = token.type === 'OpenExpression' || (isWord(token, 'in') && isLoop(tokens, i));
    if (!begins) continue;
    const end = endOfSequence(tokens, i + 1, token.type !== 'OpenExpression');
    if (end === null) continue;
    out.push(OPEN);
    close = end;
  }
  return out;
}

/** Behind the sequence that begins at `from`, where a comma stands in it outside of brackets; null where none does. */
function endOfSequence(tokens: readonly Token[], from: number, endsAtIf: boolean): number | null {
  let hasComma = false;
  for (let i = from; i < tokens.length; i += 1) {
    const token = tokens[i] as Token;
    if (token.type in OPENING) i = behindBracket(tokens, i) - 1;
    else if (token.type === 'Comma') hasComma = true;
    else if (token.type.startsWith('Close') || (endsAtIf && isWord(token, 'if'))) return hasComma ? i : null;
  }
  return null;
}

/** `for x in y recursive` as a loop over one name more. */
function writeLoops(tokens: readonly Token[]): Token[] {
  const out = [...tokens];
  for (let i = out.length - 1; i > 0; i -= 1) {
    if (!isWord(out[i], 'recursive') || out[i + 1]?.type !== 'CloseStatement') continue;
    const begin = out.slice(0, i).findLastIndex(({ type }) => type === 'OpenStatement');
    const at = out.findIndex((token, k) => k > begin && isWord(token, 'in'));
    if (!isWord(out[begin + 1], 'for') || at < 0 || at > i) continue;
    out.splice(i, 1);
    out.splice(at, 0, COMMA, of('Identifier', RECURSIVE));
  }
  return out;
}

/** `1e3`, `1_000` and `0xff`, which the parser takes for a number and a name, and whole numbers that no float holds. */
function writeNumbers(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i += 1) {
    const token = tokens[i] as Token;
    if (token.type !== 'NumericLiteral') {
      out.push(token);
      continue;
    }
    const [, sign = '', digits = ''] = /^([+-]?)(.*)$/.exec(token.value) ?? [];
    const tail = [1, 2, 3].map((k) => tokens[i + k]?.value ?? '');
    const name = tokens[i + 1]?.type === 'Identifier' ? (tail[0] as string) : '';
    const isSigned = /^e$/i.test(name) && /^[+-]$/.test(tail[1] as string) && /^\d+$/.test(tail[2] as string);
    const whole =
      digits + (isSigned ? tail.join('') : /^(_[\d_]+|e\d+|x[\da-f]+|o[0-7]+|b[01]+)$/i.test(name) ? name : '');
    if (whole !== digits) i += isSigned ? 3 : 1;
    out.push(...numberTokens(sign, whole.replaceAll('_', '').toLowerCase(), token));
  }
  return out;
}

function numberTokens(sign: string, text: string, token: Token): Token[] {
  if (/^\d+(\.\d+)?e[+-]?\d+$/.test(text)) {
    const [mantissa = '', exponent = ''] = text.split('e');
    return [of(token.type, `${sign}${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${exponent}`)];
  }
  if (!/^(\d+|0x[\da-f]+|0o[0-7]+|0b[01]+)$/.test(text)) return [token];
  const number = BigInt(text);
  if (number <= BigInt(Number.MAX_SAFE_INTEGER)) return [of(token.type, `${sign}${number}`)];
  return [OPEN, of('StringLiteral', `${sign}${number}`), of('Pipe', '|'), of('Identifier', 'int'), CLOSE];
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
    else if (token.type === 'ComparisonBinaryOperator' || (isWord(token, 'in') && !isLoopOrTest(tokens, i))) {
      counts[last] = (counts[last] ?? 0) + 1;
      if (counts[last] > 1) throw new Unsupported('a chain of comparisons');
    }
  }
}

/** `{% filter upper | trim %}`: the parser knows one filter there. */
function refuseFilterChains(tokens: readonly Token[]): void {
  for (const [i, token] of tokens.entries()) {
    if (token.type !== 'OpenStatement' || !isWord(tokens[i + 1], 'filter')) continue;
    const end = tokens.findIndex(({ type }, k) => k > i && type === 'CloseStatement');
    if (tokens.slice(i, end).some(({ type }) => type === 'Pipe'))
      throw new Unsupported('a chain of filters in a statement');
  }
}

/** Whether this `in` is that of a loop, or of a test. */
const isLoopOrTest = (tokens: readonly Token[], at: number): boolean => isTestWord(tokens, at) || isLoop(tokens, at);

const isTestWord = (tokens: readonly Token[], at: number): boolean =>
  isWord(tokens[at - 1], 'is') || (isWord(tokens[at - 1], 'not') && isWord(tokens[at - 2], 'is'));

/** Whether this `in` is that of a loop. */
function isLoop(tokens: readonly Token[], at: number): boolean {
  const begin = tokens.slice(0, at).findLastIndex(({ type }) => type === 'OpenStatement');
  return isWord(tokens[begin + 1], 'for') && !tokens.slice(begin + 2, at).some((token) => isWord(token, 'in'));
}
