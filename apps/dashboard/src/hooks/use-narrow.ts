import { useEffect, useState } from 'react';

const QUERY = '(max-width: 720px)';

/** Whether the page is as narrow as a phone: rows get two lines there (layout.css has the same border). */
export function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => matchMedia(QUERY).matches);
  useEffect(() => {
    const media = matchMedia(QUERY);
    const update = (): void => setNarrow(media.matches);
    media.addEventListener('change', update);
    return () => media.removeEventListener('change', update);
  }, []);
  return isNarrow;
}
