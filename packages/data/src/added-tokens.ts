import { SPACE, WORD } from './patterns.js';

/** A token that is looked for in a text before the model sees what lies between, as a tokenizer.json has it. */
export interface AddedToken {
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** A part of a text: an added token, or what lies between two. */
export interface Section {
  start: number;
  end: number;
  token: string | null;
}

/** Cuts a text at added tokens. */
export type CutAtTokens = (text: string) => Section[];

const WORD_END = new RegExp(`[${WORD}]$`, 'u');
const WORD_START = new RegExp(`^[${WORD}]`, 'u');
const WHITE = new RegExp(SPACE, 'u');

/**
 * Cuts texts at the added tokens in them, of several that begin at a place at the longest. A token that must stand alone is text where a
 * letter or digit is beside it; one that takes the white space beside it reaches over it. `tokens` are by the text that is looked for.
 */
export function createCut(tokens: ReadonlyMap<string, AddedToken>): CutAtTokens {
  const root = treeOf(tokens);
  return (text) => {
    const sections: Section[] = [];
    let at = 0;
    const take = (start: number, end: number, token: string | null): void => {
      // White space that the token before took is no token again.
      if (start < end) sections.push({ start, end, token });
      at = end;
    };
    const spaceBehind = spaceReader(text);
    for (let i = 0; i < text.length; ) {
      const found = longestAt(root, text, i);
      if (found === null) {
        i += 1;
        continue;
      }
      const { token, end } = found;
      // Two units hold any letter.
      const isInWord = WORD_END.test(text.slice(Math.max(0, i - 2), i)) || WORD_START.test(text.slice(end, end + 2));
      if (!(token.single_word && isInWord)) {
        const start = token.lstrip ? Math.max(at, spaceBefore(text, i, at)) : i;
        take(at, start, null);
        take(start, token.rstrip ? spaceBehind(end) : end, token.content);
      }
      i = end;
    }
    take(at, text.length, null);
    return sections;
  };
}

/** Where the white space before `from` begins, no further back than `least`. */
function spaceBefore(text: string, from: number, least: number): number {
  let start = from;
  while (start > least && WHITE.test(text[start - 1] ?? '')) start -= 1;
  return start;
}

/** Finds where the white space behind a place ends. It reads each letter once, for places that are asked for in order. */
function spaceReader(text: string): (from: number) => number {
  let end = 0;
  return (from) => {
    // Behind the last place all is white up to `end`.
    if (from > end) end = from;
    while (end < text.length && WHITE.test(text[end] ?? '')) end += 1;
    return end;
  };
}

interface Branch {
  next: Map<string, Branch>;
  token: AddedToken | null;
}

const newBranch = (): Branch => ({ next: new Map(), token: null });

/** Tokens letter by letter. */
function treeOf(tokens: ReadonlyMap<string, AddedToken>): Branch {
  const root = newBranch();
  for (const [text, token] of tokens) {
    let branch = root;
    for (let i = 0; i < text.length; i += 1) {
      const letter = text[i] as string;
      const next = branch.next.get(letter) ?? newBranch();
      branch.next.set(letter, next);
      branch = next;
    }
    branch.token = token;
  }
  return root;
}

function longestAt(root: Branch, text: string, from: number): { token: AddedToken; end: number } | null {
  let longest = null;
  let branch = root.next.get(text[from] as string);
  for (let end = from + 1; branch !== undefined; end += 1) {
    if (branch.token !== null) longest = { token: branch.token, end };
    branch = end < text.length ? branch.next.get(text[end] as string) : undefined;
  }
  return longest;
}
