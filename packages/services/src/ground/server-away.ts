/** Driver and socket codes that mean "a server is away", not "this request is wrong". */
const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'P1001', // Prisma: cannot reach the database
  'P1008', // Prisma: timed out
  'P1017', // Prisma: the server closed the connection
  'P2024', // Prisma: no connection from the pool in time
]);

/** SQLSTATE classes of Postgres: connection, rollback (deadlock), resources, operator (shutdown, starting up). */
const SQLSTATE = /^(08|40|53|57)[0-9A-Z]{3}$/;

const SENTENCE =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|Connection terminated|connection timeout|timeout exceeded|not queryable|Connection is closed|isn't writeable|Can't reach database/i;

const DEEPEST = 5;

/** True for what passes by itself: a server that is away, restarts or is overloaded. Looks at the causes of an error as well. */
export function isServerAway(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < DEEPEST; at = at.cause, depth++) {
    const { code, errors } = at as { code?: unknown; errors?: unknown };
    if (typeof code === 'string' && (CODES.has(code) || SQLSTATE.test(code))) return true;
    if (SENTENCE.test(`${typeof code === 'string' ? code : ''} ${at.message}`)) return true;
    if (Array.isArray(errors) && errors.some(isServerAway)) return true;
  }
  return false;
}
