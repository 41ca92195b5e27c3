import { createParser } from 'eventsource-parser';

/** One server-sent event. */
export interface ServerEvent {
  /** Null where the event has none of its own. */
  id: string | null;
  event: string;
  data: string;
}

/** Reads server-sent events from the body of a response. `onChunk` is called for all that comes, heartbeats (comments) too. */
export async function* readEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  onChunk: () => void = () => {},
): AsyncGenerator<ServerEvent> {
  const events: ServerEvent[] = [];
  const parser = createParser({
    onEvent: ({ id = null, event = 'message', data }) => events.push({ id, event, data }),
  });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      onChunk();
      parser.feed(chunk.value);
      yield* events.splice(0);
    }
  } finally {
    // Of a caller that has read enough; a stream that broke has nothing to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

/** Order of two stream ids (`milliseconds-number`): below zero when `a` comes first. */
export function compareIds(a: string, b: string): number {
  const [aTime = 0, aCount = 0] = a.split('-').map(Number);
  const [bTime = 0, bCount = 0] = b.split('-').map(Number);
  return aTime - bTime || aCount - bCount;
}
