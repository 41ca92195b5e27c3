import { AppError } from '@moraine/contract';

/** A page of a list, as the OpenAI API answers it. */
export interface Page<T> {
  object: 'list';
  data: T[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

/** Makes a page of at most `limit` items out of up to `limit + 1` that were read; the extra one only says that there are more. */
export function toPage<T extends { id: string }>(items: readonly T[], limit: number): Page<T> {
  const data = items.slice(0, limit);
  return {
    object: 'list',
    data,
    has_more: items.length > limit,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

/** The item that a page goes on from, or `invalid_value` when `after` names none of the caller's. */
export function cursorOrThrow<T>(row: T | null, after: string): T {
  if (row) return row;
  throw new AppError('invalid_value', `'after' is '${after}', which is no item of this list.`, {
    param: 'after',
    hint: 'Pass last_id of the page before, or leave it out to start at the newest.',
  });
}
