import { useSyncExternalStore } from 'react';

const subscribe = (onChange: () => void): (() => void) => {
  document.addEventListener('visibilitychange', onChange);
  return () => document.removeEventListener('visibilitychange', onChange);
};

/** Whether this tab is the one that is seen. */
export const useIsVisible = (): boolean => useSyncExternalStore(subscribe, () => !document.hidden);
