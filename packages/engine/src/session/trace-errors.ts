import { fileURLToPath } from 'node:url';
import { EngineError, InvariantError } from '../error.js';

/** Frames a trace may be deep: autodiff and tidy put many between a kernel and the code that asked for it. */
const stackDepth = 100;

/** Runs `build` with stack traces deep enough to find the caller's own line. */
export function withDeepStacks<T>(build: () => T): T {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = stackDepth;
  try {
    return build();
  } finally {
    Error.stackTraceLimit = before;
  }
}

/** The error with the signature and the place where the signature's own code asked for the operation. */
export function traceError(cause: unknown, signature: string): unknown {
  if (!(cause instanceof Error)) return cause;
  const place = callerOf(cause.stack ?? '');
  const where = `Signature '${signature}'${place === undefined ? '' : `, ${place}`}`;
  const missing = /Cannot find registered kernel '(\w+)'|Kernel '(\w+)' not registered/.exec(cause.message);
  if (missing !== null) {
    const kernel = missing[1] ?? missing[2];
    return new EngineError(
      'kernel_unregistered',
      `${where}: tfjs’s kernel ${kernel} cannot be traced yet.`,
      'Add its entry to packages/engine/src/graph/kernels (docs/engine.md says how), or use other operations.',
      { cause },
    );
  }
  if (cause instanceof EngineError)
    return new EngineError(cause.code, `${where}: ${cause.message}`, cause.hint, { cause });
  const what = cause instanceof InvariantError ? cause.what : cause.message;
  return new InvariantError(`${where}: ${what}`, { cause });
}

/** `file:line` of the first frame that is neither tfjs nor this package's tracing code. */
function callerOf(stack: string): string | undefined {
  for (const line of stack.split('\n')) {
    const place = /(?:\(|at )((?:file:\/\/)?\/[^()]+):(\d+):\d+\)?$/.exec(line);
    const file = place?.[1];
    if (file === undefined || isOurs(file)) continue;
    return `${file.startsWith('file:') ? fileURLToPath(file) : file}:${place?.[2]}`;
  }
  return undefined;
}

const isOurs = (file: string): boolean =>
  /node_modules\/@tensorflow\//.test(file) ||
  /\/engine\/(?:src|dist)\/(?:graph|session|raw-ops)/.test(file) ||
  file.startsWith('node:');
