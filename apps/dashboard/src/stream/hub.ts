import { compareIds, type ServerEvent } from '@moraine/contract/events';
import { readSse, SseRefused } from './sse.js';

/** What a tab says to the hub: the runs that it wants to hear of, each from the last message that it knows; none while it is hidden. */
export interface Wanted {
  /** Address of the stream of several runs. */
  path: string;
  runs: readonly (readonly [runId: string, position: string | null])[];
}

/** What the hub says to a tab. */
export type HubMessage =
  | { type: 'status'; status: 'connecting' | 'open' | 'retrying' }
  /** Something came, if only a heartbeat. */
  | { type: 'heard' }
  | { type: 'message'; runId: string; message: ServerEvent }
  /** The server will not give this stream: the reasons are in the answers to plain requests. */
  | { type: 'refused' };

export interface Tab {
  send(message: HubMessage): void;
}

/** Heartbeats come every 2 s. */
const SILENCE_MS = 5000;
const RETRY_MS_MAX = 8000;
/** Tabs that open or close together change the stream once. */
const GATHER_MS = 50;
/** Runs that the server takes in one stream. */
const RUNS_MAX = 100;

type Positions = Map<string, string | null>;

/**
 * The one stream of a browser: it carries every run that some tab in sight shows, and is closed while none does. Each tab gets what came
 * after its own position, once; a broken stream goes on after the message that the slowest tab knows.
 */
export class StreamHub {
  private readonly tabs = new Map<Tab, Positions>();
  private path = '';
  private link: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;

  want(tab: Tab, { path, runs }: Wanted): void {
    this.path = path;
    if (runs.length === 0) this.tabs.delete(tab);
    else this.tabs.set(tab, new Map(runs));
    this.restart(GATHER_MS);
  }

  /** Lets the stream go, and opens it anew where it is still wanted. */
  private restart(afterMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.link?.abort();
      this.link = null;
      if (this.tabs.size > 0) void this.read();
    }, afterMs);
  }

  private async read(): Promise<void> {
    const link = new AbortController();
    this.link = link;
    this.tell({ type: 'status', status: this.failures > 0 ? 'retrying' : 'connecting' });
    try {
      await readSse({
        url: `${this.path}?runs=${encodeURIComponent(this.places())}`,
        signal: link.signal,
        silenceMs: SILENCE_MS,
        onOpen: () => {
          this.failures = 0;
          this.tell({ type: 'status', status: 'open' });
        },
        onHeard: () => this.tell({ type: 'heard' }),
        onMessage: (message) => this.take(message),
      });
    } catch (error) {
      if (link.signal.aborted) return;
      if (error instanceof SseRefused) this.tell({ type: 'refused' });
    }
    if (link.signal.aborted) return;
    this.failures += 1;
    this.tell({ type: 'status', status: 'retrying' });
    this.restart(Math.min(RETRY_MS_MAX, 125 * 2 ** Math.min(this.failures, 6)));
  }

  /** Every wanted run with the oldest position that a tab has of it. */
  private places(): string {
    const oldest: Positions = new Map();
    for (const positions of this.tabs.values())
      for (const [runId, position] of positions) {
        const known = oldest.get(runId);
        const isOlder = known === undefined || position === null || (known !== null && compareIds(position, known) < 0);
        if (isOlder) oldest.set(runId, position);
      }
    return [...oldest]
      .slice(-RUNS_MAX)
      .map(([runId, position]) => (position === null ? runId : `${runId}@${position}`))
      .join();
  }

  private take(message: ServerEvent): void {
    const [runId, id] = message.id?.split('@') ?? [];
    if (runId === undefined || id === undefined) return;
    for (const [tab, positions] of this.tabs) {
      const position = positions.get(runId);
      if (position === undefined || (position !== null && compareIds(id, position) <= 0)) continue;
      positions.set(runId, id);
      tab.send({ type: 'message', runId, message: { ...message, id } });
    }
  }

  private tell(message: HubMessage): void {
    for (const tab of this.tabs.keys()) tab.send(message);
  }
}
