/** Codes of sockets and of Prisma that mean "a server is away", not "this request is wrong". */
const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'P1001', // Prisma: cannot reach the database
  'P1002', // Prisma: reached it, but it did not respond in time
  'P1008', // Prisma: timed out
  'P1017', // Prisma: the server closed the connection
  'P2024', // Prisma: no connection from the pool in time
  'P2028', // Prisma: a transaction could not begin, or took too long
  'P2034', // Prisma: a conflict or a deadlock
  'P2037', // Prisma: too many connections
]);

/**
 * The states of Postgres that pass by themselves, by SQLSTATE: connections (08), conflicts and deadlocks (40), resources (53), a lock that
 * was not got (55P03), shutting down, starting or out of time (57), faults of its machine (58), and a server that does not take writes
 * while another becomes the primary (25006) or that ended a transaction for its age (25P03, 25P04).
 */
const SQLSTATE = /^((08|40|53|57|58)[0-9A-Z]{3}|25006|25P03|25P04|55P03)$/;

/** What drivers and Redis say without a code. */
const SENTENCE =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|Connection terminated|connection timeout|timeout exceeded|read timeout|Command timed out|not queryable|Connection is closed|isn't writeable|Can't reach database|^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|BUSY|NOREPLICAS)\b/i;

const DEEPEST = 5;

/** An error and everything that it says caused it; Prisma keeps the driver's in its `meta`. */
export function* causesOf(error: unknown, depth = 0): Generator<object> {
  if (typeof error !== 'object' || error === null || depth >= DEEPEST) return;
  yield error;
  const { cause, errors, meta } = error as {
    cause?: unknown;
    errors?: unknown;
    meta?: { driverAdapterError?: unknown };
  };
  for (const below of [cause, meta?.driverAdapterError, ...(Array.isArray(errors) ? errors : [])])
    yield* causesOf(below, depth + 1);
}

/** The codes of an error: its own, and what the database said where Prisma has put its own in front. */
export const codesOf = (error: object): string[] => {
  const { code, originalCode } = error as { code?: unknown; originalCode?: unknown };
  return [code, originalCode].filter((one) => typeof one === 'string');
};

/** True for what passes by itself: a server that is away, restarts, is overloaded or takes no writes now. Looks at the causes of an error as well. */
export function isServerAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  for (const one of causesOf(error)) {
    const codes = codesOf(one);
    if (codes.some((code) => CODES.has(code) || SQLSTATE.test(code))) return true;
    const { message } = one as { message?: unknown };
    if (SENTENCE.test(codes[0] ?? '') || (typeof message === 'string' && SENTENCE.test(message))) return true;
  }
  return false;
}
