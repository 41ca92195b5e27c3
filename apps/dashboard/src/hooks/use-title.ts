import { useEffect } from 'react';

/** What the tab is called while a page is shown: what it is about first, so that tabs can be told apart. */
export function useTitle(...parts: readonly string[]): void {
  const title = [...parts, 'Moraine'].join(' · ');
  useEffect(() => {
    document.title = title;
  }, [title]);
}
