export type StreamStatus = 'none' | 'connecting' | 'open' | 'retrying';
export type ConnectionStatus = 'live' | 'catching_up' | 'offline';

/** What is known of the server; times in milliseconds of one clock. */
export interface ConnectionFacts {
  /** The last answer, or the last bytes of the stream; null before the first. */
  answeredAt: number | null;
  /** The last request came to nothing: refused, timed out, or answered by a gateway. */
  hasFailed: boolean;
  /** When the oldest request that still waits was sent; null while none waits. */
  waitingSince: number | null;
  /** When the page was opened or came back into sight: nothing could be heard before. */
  shownAt: number;
  stream: StreamStatus;
  /** The last bytes of the stream. */
  streamHeardAt: number | null;
}

/** An answer that is older proves nothing: polls, pings and the stream's heartbeats come every 2 s. */
export const FRESH_MS = 3500;
/** A request that waits longer is held up. Pages ask every 2 s at least, so 5 s after the last answer nothing is called live. */
const HELD_UP_MS = 2000;

/** What may be said of the connection now. It follows from the age of the last answer, not from the absence of an error. */
export function connectionStatus(facts: ConnectionFacts, now: number): ConnectionStatus {
  const isFresh = (at: number | null): boolean => at !== null && now - at < FRESH_MS;
  if (facts.hasFailed) return 'offline';
  if (!isFresh(facts.answeredAt)) return isFresh(facts.shownAt) ? 'catching_up' : 'offline';
  // A request that waits is a part of the page that is not up to date, whatever else is answered.
  const isHeldUp = facts.waitingSince !== null && now - facts.waitingSince >= HELD_UP_MS;
  const isStreaming = facts.stream === 'none' || (facts.stream === 'open' && isFresh(facts.streamHeardAt));
  return isHeldUp || !isStreaming ? 'catching_up' : 'live';
}
