import { AppError } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type Arguments, integer, type Option, text } from './args.js';
import { connect } from './connect.js';
import { print, printError } from './terminal.js';

/** Of every list that comes in pages. */
export const PAGE_OPTIONS = {
  limit: { type: 'string', value: 'N', help: 'How many to list; default 20.' },
  all: { type: 'boolean', help: 'List every one there is.' },
  after: { type: 'string', value: 'ID', help: 'Go on behind this one, the last of a list before.' },
} satisfies Record<string, Option>;

const PRESET = 20;
const MOST = 1_000_000;

interface Listed<T> {
  items: T[];
  hasMore: boolean;
}

/** Reads as many items as the options ask for, in pages of at most `pageMax`, from the stack that they name. */
export async function readPages<T extends { id: string }>(
  args: Arguments,
  pageMax: number,
  read: (
    client: Client,
    page: { limit: number; after: string | undefined },
  ) => Promise<{ data: T[]; has_more: boolean }>,
): Promise<Listed<T>> {
  const limit = integer(args, 'limit', 1, MOST);
  if (args.options.all && limit !== undefined)
    throw new AppError('invalid_request', '--all and --limit contradict each other.', { hint: 'Give one.' });
  const most = args.options.all ? Number.POSITIVE_INFINITY : (limit ?? PRESET);
  const client = connect(args);
  const items: T[] = [];
  let hasMore = true;
  while (hasMore && items.length < most) {
    const after = items.at(-1)?.id ?? text(args, 'after');
    const page = await read(client, { limit: Math.min(pageMax, most - items.length), after });
    items.push(...page.data);
    hasMore = page.has_more && page.data.length > 0;
  }
  return { items, hasMore };
}

/** Prints a list: as JSON where that was asked for, else as `lines` says it, or `none` where there is nothing, and whether there is more. */
export function printList<T extends { id: string }>(
  args: Arguments,
  { items, hasMore }: Listed<T>,
  lines: (items: T[]) => string,
  none: string,
): number {
  if (args.options.json) print(JSON.stringify(items));
  else if (items.length > 0) print(lines(items));
  else if (none !== '') print(none);
  if (hasMore && !args.options.json)
    printError(`There are more: --all lists every one, --after ${items.at(-1)?.id} goes on.`);
  return 0;
}
