/** What a log line says of an error. Drivers hang more on it: the command with its password (ioredis), the whole connection (pg). */
const FIELDS = [
  'code',
  'status',
  'param',
  'hint',
  'severity',
  'constraint',
  'table',
  'column',
  'syscall',
  'address',
  'port',
];
const DEEPEST = 5;

/** User and password in the address of a server. */
const PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*:[^\s/]*@/gi;

/** Text without the user and password of the addresses in it. */
const withoutPasswords = (text: string): string => text.replaceAll(PASSWORD, '$1***@');

/** Serializer of `err` in logs: type, message, stack, causes and the fields above, and never a password. */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? withoutPasswords(error) : error;
  const values = error as unknown as Record<string, unknown>;
  const facts = FIELDS.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]] as const]));
  const isDeepest = depth >= DEEPEST;
  return {
    type: error.constructor.name,
    message: withoutPasswords(error.message),
    stack: withoutPasswords(error.stack ?? ''),
    ...Object.fromEntries(facts),
    ...(error.cause === undefined || isDeepest ? {} : { cause: describeError(error.cause, depth + 1) }),
    ...(error instanceof AggregateError && !isDeepest
      ? { errors: error.errors.map((one: unknown) => describeError(one, depth + 1)) }
      : {}),
  };
}
