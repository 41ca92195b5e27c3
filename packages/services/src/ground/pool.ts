import pg from 'pg';

/** How work fares that wants a connection to Postgres. */
export interface PoolState {
  /** Connections that are open, and how many of them nobody uses. */
  connections: number;
  idle: number;
  /** Callers that wait for a connection now, and for how long the first of them has waited; 0 where nobody waits. */
  waiting: number;
  longestWaitMs: number;
  /** Since the process started: connections asked for, the time that was waited for them, and those that were not got in time. */
  waits: number;
  waitedMs: number;
  failures: number;
}

type Done = (error: Error | undefined, client: pg.PoolClient | undefined, release: (broken?: unknown) => void) => void;

/** A pool that measures how long a connection is waited for, whoever asks: a verb, a transaction, Prisma. */
export class MeasuredPool extends pg.Pool {
  /** When each caller that waits began to; the first is the oldest. */
  readonly #since = new Map<symbol, number>();
  #waits = 0;
  #waitedMs = 0;
  #failures = 0;

  override connect(): Promise<pg.PoolClient>;
  override connect(done: Done): void;
  override connect(done?: Done): Promise<pg.PoolClient> | undefined {
    const settle = this.#begin();
    if (done) {
      super.connect((error, client, release) => {
        settle(error);
        done(error, client, release);
      });
      return undefined;
    }
    return super.connect().then(
      (client) => {
        settle();
        return client;
      },
      (error: unknown) => {
        settle(error);
        throw error;
      },
    );
  }

  state(): PoolState {
    const [oldest] = this.#since.values();
    return {
      connections: this.totalCount,
      idle: this.idleCount,
      waiting: this.#since.size,
      longestWaitMs: oldest === undefined ? 0 : performance.now() - oldest,
      waits: this.#waits,
      waitedMs: this.#waitedMs,
      failures: this.#failures,
    };
  }

  #begin(): (error?: unknown) => void {
    const [caller, since] = [Symbol('caller'), performance.now()];
    this.#since.set(caller, since);
    return (error) => {
      this.#since.delete(caller);
      this.#waits++;
      this.#waitedMs += performance.now() - since;
      if (error) this.#failures++;
    };
  }
}
