import { createHash } from 'node:crypto';

/** Texts that get a name in a process. Each connection keeps a plan of each, so there must not be many. */
const TEXTS_MAX = 500;

const names = new Map<string, string>();

/**
 * The name under which a connection keeps a statement, so that Postgres parses and plans it once; undefined for what comes after the first
 * 500 texts. For statements that are planned well without a look at their values: by key, along one index.
 */
export function statementName(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= TEXTS_MAX) return known;
  const name = createHash('sha1').update(text).digest('base64url');
  names.set(text, name);
  return name;
}

/** A statement under its name, for `query`. */
export const prepared = (text: string, values: unknown[]) => ({ name: statementName(text), text, values });
