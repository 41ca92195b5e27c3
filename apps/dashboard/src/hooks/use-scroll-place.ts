import { type RefObject, useEffect, useRef } from 'react';
import { useLocation } from 'react-router';

const KEY = 'moraine.places';
/** What was loaded when one left may have to be loaded again. */
const RESTORE_MS = 5000;
const PLACES_MAX = 100;

const read = (): [key: string, top: number][] => {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
  } catch {
    return [];
  }
};

const places = new Map<string, number>(read());
let saving: ReturnType<typeof setTimeout> | undefined;

function save(): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...places].slice(-PLACES_MAX)));
  } catch {
    // Storage is switched off: places last as long as the page.
  }
}

function remember(key: string, top: number): void {
  places.delete(key);
  places.set(key, top);
  clearTimeout(saving);
  saving = setTimeout(save, 200);
}
// A page that is left or loaded again before that keeps its places too.
window.addEventListener('pagehide', save);

/** Remembers how far an element was scrolled at each entry of the history, and brings it there again when one comes back. */
export function useScrollPlace(scroller: RefObject<HTMLElement | null>): void {
  const { key } = useLocation();
  const entry = useRef(key);
  useEffect(() => {
    entry.current = key;
    if (scroller.current && !places.has(key)) remember(key, scroller.current.scrollTop);
  }, [key, scroller]);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const stop = restore(element, places.get(entry.current) ?? 0);
    const onScroll = (): void => remember(entry.current, element.scrollTop);
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      stop();
      element.removeEventListener('scroll', onScroll);
    };
  }, [scroller]);
}

/** Scrolls as far as the content reaches, again and again while it grows, until the place is there or a hand takes over. */
function restore(element: HTMLElement, top: number): () => void {
  const until = performance.now() + RESTORE_MS;
  let frame = 0;
  const stop = (): void => cancelAnimationFrame(frame);
  const step = (now: number): void => {
    if (Math.abs(element.scrollTop - top) < 1 || now > until) return;
    element.scrollTop = top;
    frame = requestAnimationFrame(step);
  };
  if (top > 0) step(performance.now());
  for (const event of ['wheel', 'pointerdown', 'keydown']) element.addEventListener(event, stop, { once: true });
  return stop;
}
