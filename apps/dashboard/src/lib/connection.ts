/** What the badge shows: live, catching up (a page with a stream is loading or replaying), or offline since a moment. */
export interface ConnectionState {
  status: 'live' | 'catching_up' | 'offline';
  /** When the server was first missed, milliseconds; null while it responds. */
  offlineSince: number | null;
  retries: number;
}

export type StreamStatus = 'none' | 'connecting' | 'open' | 'retrying';

const listeners = new Set<() => void>();
let offlineSince: number | null = null;
let retries = 0;
let stream: StreamStatus = 'none';
let hasAnswered = false;
let state: ConnectionState = { status: 'catching_up', offlineSince: null, retries: 0 };

function publish(): void {
  const isBehind = !hasAnswered || stream === 'connecting' || stream === 'retrying';
  const status = offlineSince !== null ? 'offline' : isBehind ? 'catching_up' : 'live';
  if (status === state.status && offlineSince === state.offlineSince && retries === state.retries) return;
  state = { status, offlineSince, retries };
  for (const listener of listeners) listener();
}

/** One store for the whole page: requests and the run's stream report here, the badge reads. */
export const connection = {
  answered(ok: boolean): void {
    if (ok) {
      hasAnswered = true;
      offlineSince = null;
      retries = 0;
    } else {
      offlineSince ??= Date.now();
      retries += 1;
    }
    publish();
  },
  stream(status: StreamStatus): void {
    stream = status;
    publish();
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: (): ConnectionState => state,
};
