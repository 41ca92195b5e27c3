/** When an answer ends by what it says. */
export interface Stopping {
  /** Tokens that end an answer; they are not part of it. */
  stopIds?: readonly number[];
  /** Strings that end an answer, wherever they are among its tokens; they are not part of its text. Needs `decode`. */
  stop?: readonly string[];
  /** The text of an answer's tokens. */
  decode?: (ids: readonly number[]) => string;
  /** Called after every token with the answer so far: how many of its tokens to keep when it is to end here, else null. */
  isStopped?: (ids: readonly number[]) => number | null;
}

/** How an answer that ends here is cut; `text` is null where nothing decodes. */
export interface Cut {
  kept: number;
  text: string | null;
}

/** Whether the answer so far ends by a stop string or the caller's own rule, and where. */
export function cutAt(ids: readonly number[], { stop = [], decode, isStopped }: Stopping): Cut | null {
  const kept = isStopped?.(ids) ?? null;
  if (kept !== null) return { kept, text: decode?.(ids.slice(0, kept)) ?? null };
  if (decode === undefined || stop.length === 0) return null;
  const whole = decode(ids);
  const places = stop.map((string) => whole.indexOf(string)).filter((place) => place >= 0);
  if (places.length === 0) return null;
  const text = whole.slice(0, Math.min(...places));
  return { kept: shortest(ids, text, decode), text };
}

/** The fewest tokens whose text begins with all of `text`; the last of them may say the beginning of the stop string too. */
function shortest(ids: readonly number[], text: string, decode: (ids: readonly number[]) => string): number {
  let kept = ids.length;
  while (kept > 0 && decode(ids.slice(0, kept - 1)).startsWith(text)) kept -= 1;
  return kept;
}
