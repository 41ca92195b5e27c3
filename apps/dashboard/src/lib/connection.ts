import {
  type ConnectionFacts,
  type ConnectionStatus,
  connectionStatus,
  type StreamStatus,
} from './connection-status.js';

/** What the badge shows. */
export interface ConnectionState {
  status: ConnectionStatus;
  /** Whole seconds since the last answer; null before the first. */
  ageS: number | null;
  retries: number;
}

const TICK_MS = 250;

const listeners = new Set<() => void>();
const waiting = new Map<symbol, number>();
const facts: ConnectionFacts = {
  answeredAt: null,
  hasFailed: false,
  waitingSince: null,
  shownAt: Date.now(),
  stream: 'none',
  streamHeardAt: null,
};
let retries = 0;
let state: ConnectionState = { status: 'catching_up', ageS: null, retries: 0 };

function publish(): void {
  const now = Date.now();
  facts.waitingSince = waiting.size > 0 ? Math.min(...waiting.values()) : null;
  const status = connectionStatus(facts, now);
  const ageS = facts.answeredAt === null ? null : Math.max(0, Math.floor((now - facts.answeredAt) / 1000));
  if (status === state.status && ageS === state.ageS && retries === state.retries) return;
  state = { status, ageS, retries };
  for (const listener of listeners) listener();
}

/** One request under way; `end` is called once, with what came of it. */
export interface Waiting {
  end(outcome: 'answered' | 'failed' | 'dropped'): void;
}

/** One store for the whole page: requests and the stream report here, the badge reads. Time alone changes it too. */
export const connection = {
  asked(): Waiting {
    const id = Symbol('request');
    waiting.set(id, Date.now());
    return {
      end(outcome) {
        waiting.delete(id);
        if (outcome === 'answered') connection.heard();
        if (outcome === 'failed') connection.missed();
        publish();
      },
    };
  },
  heard(): void {
    facts.answeredAt = Date.now();
    facts.hasFailed = false;
    retries = 0;
    publish();
  },
  missed(): void {
    facts.hasFailed = true;
    retries += 1;
    publish();
  },
  heardStream(): void {
    facts.streamHeardAt = Date.now();
    connection.heard();
  },
  stream(status: StreamStatus): void {
    facts.stream = status;
    if (status === 'open') connection.heardStream();
    publish();
  },
  /** Nothing was heard for so long, and nothing is being asked. */
  isQuietFor: (ms: number): boolean => waiting.size === 0 && Date.now() - (facts.answeredAt ?? 0) >= ms,
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: (): ConnectionState => state,
};

setInterval(publish, TICK_MS);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  facts.shownAt = Date.now();
  publish();
});
