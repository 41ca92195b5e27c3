import { useEffect, useRef } from 'react';

export type Hotkeys = Record<string, (event: KeyboardEvent) => void>;

/** Inputs that take no text: letters typed there mean the page. */
const WITHOUT_TEXT = ['checkbox', 'radio', 'range', 'button'];

const isTyping = (target: EventTarget | null): target is HTMLElement =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
    (target instanceof HTMLInputElement && !WITHOUT_TEXT.includes(target.type)));

/** Keys of a page: single letters, or two in a row within a second (`g r`). Silent while somebody types and beside Ctrl, Alt or Meta. */
export function useHotkeys(hotkeys: Hotkeys): void {
  const current = useRef(hotkeys);
  useEffect(() => {
    current.current = hotkeys;
  });
  useEffect(() => {
    let before: { key: string; at: number } | null = null;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
      const sequence = before && event.timeStamp - before.at < 1000 ? `${before.key} ${event.key}` : event.key;
      const action = current.current[sequence] ?? current.current[event.key];
      before = { key: event.key, at: event.timeStamp };
      if (!action) return;
      before = null;
      event.preventDefault();
      action(event);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

/** What Esc closes, the innermost last. */
const layers: { close(): void }[] = [];

/** While it is open, a thing is what Esc closes, unless another was opened after it. A field that is typed in comes before all. */
export function useEscape(isOpen: boolean, close: () => void): void {
  const current = useRef(close);
  useEffect(() => {
    current.current = close;
  });
  useEffect(() => {
    if (!isOpen) return;
    const layer = { close: () => current.current() };
    if (layers.length === 0) window.addEventListener('keydown', closeInnermost);
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
      if (layers.length === 0) window.removeEventListener('keydown', closeInnermost);
    };
  }, [isOpen]);
}

function closeInnermost(event: KeyboardEvent): void {
  if (event.key === 'Escape' && !isTyping(event.target)) layers.at(-1)?.close();
}
