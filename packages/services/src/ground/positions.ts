import type { StreamMessage } from '@moraine/contract';
import type { Services } from './context.js';
import { streamKey } from './publish.js';

/** Before every message; also the position in a stream that does not exist yet. */
export const START = '0-0';

export interface StreamEntry {
  /** Position in the stream: the SSE id. */
  id: string;
  message: StreamMessage;
}

export const isStreamId = (text: string): boolean => /^\d{1,15}-\d{1,15}$/.test(text);

/** Entries as Redis gives them: id and fields; ours have one field. */
export const toEntries = (raw: readonly [string, string[]][]): StreamEntry[] =>
  raw.flatMap(([id, [, text]]) => (text === undefined ? [] : [{ id, message: JSON.parse(text) as StreamMessage }]));

/** Position after the newest message of a run; null when Redis is away or silent. */
export async function lastEventId(s: Services, runId: string): Promise<string | null> {
  const newest = await s.redisLink.tell('The question for the end of a stream', () =>
    s.redis.xrevrange(streamKey(s, runId), '+', '-', 'COUNT', 1),
  );
  return newest ? (newest[0]?.[0] ?? START) : null;
}
