/** One message of a text/event-stream. */
export interface SseMessage {
  id: string | null;
  event: string;
  data: string;
}

/**
 * Cuts a text/event-stream into messages, whatever the borders of the chunks (HTML standard, 9.2.6).
 * `feed` answers the messages that a chunk completed; comments (the heartbeat) complete none.
 */
export function createSseParser(): { feed(chunk: string): SseMessage[] } {
  let rest = '';
  let id: string | null = null;
  let event = '';
  let data: string[] = [];
  return {
    feed(chunk) {
      const done: SseMessage[] = [];
      rest += chunk;
      // A trailing CR may be half of a CRLF: it waits for its LF.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) done.push({ id, event: event || 'message', data: data.join('\n') });
          event = '';
          data = [];
          continue;
        }
        const colon = line.indexOf(':');
        if (colon === 0) continue;
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'data') data.push(value);
        else if (field === 'event') event = value;
        else if (field === 'id') id = value;
      }
      return done;
    },
  };
}

export interface SseOptions {
  url: string;
  /** Resume after this id; null = whatever comes next. */
  lastEventId: string | null;
  signal: AbortSignal;
  /** A stream without even a heartbeat for so long is dead. */
  silenceMs: number;
  onOpen(): void;
  onMessage(message: SseMessage): void;
}

/**
 * Reads one connection of a stream until it ends, goes silent or is aborted. Throws on an answer that is no stream.
 * `fetch` instead of EventSource, whose first connection cannot carry Last-Event-ID and whose heartbeats and status codes are invisible.
 */
export async function readSse(options: SseOptions): Promise<void> {
  const silence = new AbortController();
  const stop = AbortSignal.any([options.signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), options.silenceMs);
  try {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (options.lastEventId !== null) headers['last-event-id'] = options.lastEventId;
    const response = await fetch(options.url, { headers, signal: stop, cache: 'no-store' });
    if (!response.ok || !response.body) throw new SseRefused(response.status);
    options.onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = createSseParser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), options.silenceMs);
      for (const message of parser.feed(value)) options.onMessage(message);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** The server answered, but not with a stream. */
export class SseRefused extends Error {
  constructor(readonly status: number) {
    super(`The stream was refused with status ${status}.`);
    this.name = 'SseRefused';
  }
}
