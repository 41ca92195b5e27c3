import { useEffect, useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'moraine.theme';
/** Dispatched on window after the colours changed: charts are drawn on canvas and must be redrawn. */
export const THEME_EVENT = 'moraine-theme';

function readTheme(): Theme {
  const { theme } = document.documentElement.dataset;
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

/** The chosen theme and how to choose one; `system` follows the machine. public/theme-first.js applies it before the first paint. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(readTheme);
  useEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Storage is switched off: the choice lasts as long as the page.
    }
    window.dispatchEvent(new Event(THEME_EVENT));
  }, [theme]);
  return [theme, setTheme];
}

/** The colours of the moment, resolved for a canvas (a custom property alone would answer with its light-dark() text). */
export function resolveColors<K extends string>(names: readonly K[]): Record<K, string> {
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const colors = {} as Record<K, string>;
  for (const name of names) {
    probe.style.color = `var(${name})`;
    colors[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colors;
}

/** Counts up whenever the colours change, whether by choice or by the system. */
export function useThemeVersion(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const media = matchMedia('(prefers-color-scheme: dark)');
    const bump = (): void => setVersion((old) => old + 1);
    media.addEventListener('change', bump);
    window.addEventListener(THEME_EVENT, bump);
    return () => {
      media.removeEventListener('change', bump);
      window.removeEventListener(THEME_EVENT, bump);
    };
  }, []);
  return version;
}
