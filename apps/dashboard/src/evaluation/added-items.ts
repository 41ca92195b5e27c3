import type { EvaluationItem } from '@moraine/contract/suites';
import type { InfiniteData } from '@tanstack/react-query';

export const ITEMS_PAGE = 50;

export interface ItemsPage {
  object: 'list';
  data: EvaluationItem[];
  has_more: boolean;
}
export type Pages = InfiniteData<ItemsPage, number | undefined>;

/**
 * The pages of all items with those that were scored since: they fill the last page, and what does not fit makes a next one. Null where they do not follow what the pages have:
 * then they are to be read again.
 */
export function withItems(pages: Pages, scored: readonly EvaluationItem[]): Pages | null {
  const last = pages.pages.at(-1);
  if (last === undefined) return null;
  if (last.has_more) return pages;
  const next = (last.data.at(-1)?.index ?? -1) + 1;
  const more = scored.filter(({ index }) => index >= next);
  if (more.length === 0) return pages;
  if (more[0]?.index !== next) return null;
  const all = [...last.data, ...more];
  const filled = { ...last, data: all.slice(0, ITEMS_PAGE), has_more: all.length > ITEMS_PAGE };
  return { ...pages, pages: [...pages.pages.slice(0, -1), filled] };
}
