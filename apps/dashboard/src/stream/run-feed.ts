import {
  type EventObject,
  isTerminal,
  type LogLine,
  type RunMetrics,
  type RunObject,
  StreamMessage,
} from '@moraine/contract';
import type { ServerEvent } from '@moraine/contract/client';
import { client } from '../lib/client.js';
import { MetricStore } from '../series/metric-store.js';
import { followRun } from './follow.js';

export interface RunFeedOptions {
  runId: string;
  onStatus(patch: Pick<RunObject, 'status' | 'state' | 'state_reason'>): void;
  onEvent(event: EventObject): void;
  /** The first metrics could not be read, or (null) were read after all. */
  onError(error: unknown): void;
}

const RETRY_MS_MAX = 8000;
/** The last events of a run follow its last status. */
const GRACE_MS = 1000;
/** Points that come faster are drawn together; drawing takes a quarter of the time at most, and never keeps a point back for longer. */
const DRAW_MS_MIN = 80;
const DRAW_MS_MAX = 500;

/**
 * The live side of one run: first the metrics from the database, then the stream from exactly there, for as long as the page is open.
 * `reset` or a refusal reads the metrics again; a broken stream is the hub's to mend. Readers subscribe to `version`, which
 * moves at most once per animation frame however many points came.
 */
export class RunFeed {
  readonly metrics = new MetricStore();
  /** Lines that came since the page was opened, oldest first. */
  readonly logs: LogLine[] = [];
  isLoaded = false;
  version = 0;

  private detail: MetricStore | null = null;
  private readonly stop = new AbortController();
  private readonly listeners = new Set<() => void>();
  /** Ends the wait for whatever makes the metrics void: a reset, a refusal, the end of the run. */
  private wake: () => void = () => {};
  private isRefused = false;
  private isEnded = false;
  private frame = 0;
  private drawnAt = 0;
  private drawMs = 0;

  constructor(private readonly options: RunFeedOptions) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getVersion = (): number => this.version;

  /** A window at higher resolution, kept up to date while it is shown. */
  setDetail(metrics: RunMetrics | null): MetricStore | null {
    this.detail = metrics ? new MetricStore(20_000) : null;
    if (metrics) this.detail?.load(metrics);
    return this.detail;
  }

  start(): void {
    void this.follow();
  }

  close(): void {
    this.stop.abort();
    this.wake();
    cancelAnimationFrame(this.frame);
  }

  /** The run has ended: what was said last is still taken in, then the metrics are read once more and the stream is let go. */
  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    setTimeout(() => this.wake(), GRACE_MS);
  }

  private async follow(): Promise<void> {
    const { signal } = this.stop;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const position = await this.load();
        if (this.isEnded) return;
        await this.listen(position);
        failures = this.isRefused ? failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (!this.isLoaded) this.options.onError(error);
      }
      if (failures > 0) await pause(Math.min(RETRY_MS_MAX, 250 * 2 ** Math.min(failures, 5)), signal);
    }
  }

  /** Takes messages in until the metrics have to be read again. */
  private async listen(position: string | null): Promise<void> {
    this.isRefused = false;
    const voided = new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    const unfollow = followRun(this.options.runId, position, {
      onMessage: (message) => this.take(message),
      onRefused: () => {
        this.isRefused = true;
        this.wake();
      },
    });
    try {
      await voided;
    } finally {
      unfollow();
    }
  }

  /** Reads the metrics; returns the position of the stream that belongs to them. */
  private async load(): Promise<string | null> {
    const { runId } = this.options;
    const { signal } = this.stop;
    const metrics = await client.call('getRunMetrics', { params: { id: runId }, query: { buckets: 2000 }, signal });
    this.metrics.load(metrics);
    this.isLoaded = true;
    this.options.onError(null);
    this.draw();
    return metrics.last_event_id;
  }

  private take(message: ServerEvent): void {
    const parsed = StreamMessage.safeParse({ event: message.event, data: parseJson(message.data) });
    // A message of a later version of the server: nothing that this page shows.
    if (!parsed.success) return;
    const { event, data } = parsed.data;
    switch (event) {
      case 'metric':
        this.detail?.append(data);
        if (this.metrics.append(data)) this.draw();
        return;
      case 'event':
        this.options.onEvent(data);
        return;
      case 'status':
        this.options.onStatus({ status: data.status, state: data.state, state_reason: data.state_reason });
        if (isTerminal(data.status)) this.end();
        return;
      case 'log':
        if (data.attempt !== this.logs.at(-1)?.attempt || data.seq > (this.logs.at(-1)?.seq ?? -1))
          this.logs.push(data);
        this.draw();
        return;
      case 'reset':
        this.wake();
        return;
      case 'progress':
        return;
      default:
        event satisfies never;
    }
  }

  /** Tells the readers: in an animation frame, and only as often as drawing is cheap here. */
  private draw(): void {
    if (this.frame !== 0 || this.stop.signal.aborted) return;
    const wait = (now: number): void => {
      if (now - this.drawnAt < Math.min(DRAW_MS_MAX, Math.max(DRAW_MS_MIN, 4 * this.drawMs))) {
        this.frame = requestAnimationFrame(wait);
        return;
      }
      this.frame = 0;
      this.drawnAt = now;
      this.version += 1;
      for (const listener of this.listeners) listener();
      // The next task comes after what React and the canvas still do for this frame.
      setTimeout(() => {
        this.drawMs = performance.now() - now;
      });
    };
    this.frame = requestAnimationFrame(wait);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
  });
