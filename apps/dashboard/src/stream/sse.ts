import { readEvents, type ServerEvent } from '@moraine/contract/events';

export interface SseOptions {
  url: string;
  signal: AbortSignal;
  /** A stream without even a heartbeat for so long is dead. */
  silenceMs: number;
  onOpen(): void;
  /** Called for everything that comes, heartbeats too. */
  onHeard(): void;
  onMessage(message: ServerEvent): void;
}

/**
 * Reads one connection of a stream until it ends, goes silent or is aborted. Throws `SseRefused` when the response is no stream.
 * `fetch` instead of EventSource, whose heartbeats and status codes are invisible.
 */
export async function readSse(options: SseOptions): Promise<void> {
  const silence = new AbortController();
  const stop = AbortSignal.any([options.signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), options.silenceMs);
  try {
    const headers = { accept: 'text/event-stream' };
    const response = await fetch(options.url, { headers, signal: stop, cache: 'no-store' });
    if (!response.ok || !response.body) throw new SseRefused(response.status);
    options.onOpen();
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), options.silenceMs);
      options.onHeard();
    };
    for await (const message of readEvents(response.body, heard)) options.onMessage(message);
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
