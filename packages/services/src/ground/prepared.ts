import { createHash } from 'node:crypto';

/** Texts that get a name in a process. Each connection keeps a plan of each, so there must not be many. */
const TEXTS_MAX = 500;

/** Names for the first `max` different texts that are asked for; undefined for those after them. */
export function statementNames(max: number): (text: string) => string | undefined {
  const names = new Map<string, string>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined || names.size >= max) return known;
    const name = createHash('sha1').update(text).digest('base64url');
    names.set(text, name);
    return name;
  };
}

/**
 * The name under which a connection keeps a statement, so that Postgres parses and plans it once; undefined for what comes after the first
 * 500 texts. For statements that are planned well without a look at their values: by key, along one index.
 */
export const statementName = statementNames(TEXTS_MAX);

/** A statement under its name, for `query`. */
export const prepared = (text: string, values: unknown[]) => ({ name: statementName(text), text, values });
