/** Who waits for Postgres. */
export type Patience = 'request' | 'work';

/**
 * How long a statement may take (Postgres ends it), and how long its answer is waited for (Postgres itself may hang). A person waits for
 * a request; what a worker stores may take its time.
 */
export const PATIENCE: { readonly [P in Patience]: { statementMs: number; queryMs: number } } = {
  request: { statementMs: 8_000, queryMs: 10_000 },
  work: { statementMs: 60_000, queryMs: 65_000 },
};

/** A sign of life (lease, heartbeat, the reconciler's own connection) that takes longer is given up and sent again over another connection. */
export const SIGN_OF_LIFE_MS = 4_000;

/** What node-postgres says of an answer that did not come in time; the connection still waits for it and is of no use. */
export const isLate = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout';
