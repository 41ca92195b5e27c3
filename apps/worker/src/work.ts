import type { AttemptEvent, JobSpec } from '@moraine/contract';
import type { Wish } from '@moraine/services';
import type { Logger } from 'pino';
import type { LivePublisher } from './live-publisher.js';
import type { OutboxSink } from './outbox.js';

/** Where an attempt finds and leaves its files, and what it may use. */
export interface Place {
  cacheDir: string;
  outDir: string;
  threads: number;
  log: Logger;
  /** Repeats work while a server is away. */
  persist<T>(work: () => Promise<T>): Promise<T>;
}

/** Where a stopped attempt ended, as far as it is known. */
export interface Stopped {
  step: number | null;
  trainedTokens: number | null;
}

/** Events whose meaning depends on the kind of work; the others mean the same for all (attempt-sink). */
export type KindEvent = Extract<
  AttemptEvent,
  { type: 'ready' | 'evaluation' | 'checkpoint' | 'verified' | 'evaluating' | 'items' | 'analysing' | 'analysis_rows' }
>;
export type Finished = Extract<AttemptEvent, { type: 'finished' }>;

/** Stores what only this kind of work says; each function may be called again with the same event. */
export interface KindSink {
  metrics: OutboxSink['metrics'];
  event(event: KindEvent, order: number): Promise<void>;
  /** Stores the results and ends the attempt. */
  finish(event: Finished): Promise<void>;
}

/** What an attempt of one kind does in its own way. */
export interface Work {
  /** Brings the inputs onto this machine and begins the attempt in Postgres; returns what the child is given. */
  prepare(place: Place): Promise<JobSpec>;
  sink(live: LivePublisher, onWish: (wish: Wish) => void): KindSink;
  /** Ends the attempt as cancelled. */
  cancel(at: Stopped): Promise<void>;
}
