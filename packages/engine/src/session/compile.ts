import { EngineError } from '../error.js';
import { eagerSession } from './eager.js';
import { tracedSession } from './traced.js';
import type { NumericMode, Program, Session } from './types.js';

/**
 * Makes a program runnable: variables with their first values, signatures traced and loaded. The session owns the variables; `dispose`
 * frees them, and every later call is refused (`session_disposed`).
 * @throws EngineError `kernel_unregistered` or `eager_tensor_captured` naming signature, operation and place; `weights_unreadable`.
 */
export async function compile(program: Program, options: { mode: NumericMode }): Promise<Session> {
  const { mode } = options;
  return untilDisposed(mode === 'eager' ? eagerSession(program) : await tracedSession(program, mode));
}

function untilDisposed(session: Session): Session {
  let isDisposed = false;
  const open = (): Session => {
    if (!isDisposed) return session;
    throw new EngineError(
      'session_disposed',
      'A session was used after it had been disposed of.',
      'Wait for its last call before disposing of it, or compile the program again.',
    );
  };
  return {
    mode: session.mode,
    timings: session.timings,
    run: (signature, feeds, wanted) => open().run(signature, feeds, wanted),
    read: (names) => open().read(names),
    write: (values) => open().write(values),
    dispose: () => {
      if (isDisposed) return;
      isDisposed = true;
      session.dispose();
    },
  };
}
