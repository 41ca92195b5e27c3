import { type RefObject, useCallback, useLayoutEffect, useState } from 'react';

export interface FixedRows {
  /** The rows that must exist: those in sight and some around them; `end` is the first that need not. */
  start: number;
  end: number;
  totalHeight: number;
  /** Scrolls as little as brings a row into sight. */
  scrollToRow(index: number): void;
}

/** Rows beyond the edge that exist, so that a scroll finds them painted. */
const AROUND = 12;

/** Which rows of one height are in sight of a scroller. A library that measures rows costs 8 kB before the first paint. */
export function useFixedRows(scroller: RefObject<HTMLElement | null>, count: number, height: number): FixedRows {
  const [view, setView] = useState({ top: 0, size: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = (): void => setView({ top: element.scrollTop, size: element.clientHeight });
    look();
    element.addEventListener('scroll', look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', look);
      observer.disconnect();
    };
  }, [scroller]);
  const scrollToRow = useCallback(
    (index: number) => {
      const element = scroller.current;
      if (!element) return;
      const top = index * height;
      const low = top + height - element.clientHeight;
      element.scrollTop = Math.min(top, Math.max(low, element.scrollTop));
    },
    [scroller, height],
  );
  return {
    start: Math.max(0, Math.floor(view.top / height) - AROUND),
    end: Math.min(count, Math.ceil((view.top + view.size) / height) + AROUND),
    totalHeight: count * height,
    scrollToRow,
  };
}
