import { eagerSession } from './eager.js';
import { tracedSession } from './traced.js';
import type { NumericMode, Program, Session } from './types.js';

/**
 * Makes a program runnable: variables with their first values, signatures traced and loaded. The session owns the variables; `dispose`
 * frees them.
 * @throws EngineError `kernel_unregistered` or `eager_tensor_captured` naming signature, operation and place; `weights_unreadable`.
 */
export async function compile(program: Program, options: { mode: NumericMode }): Promise<Session> {
  if (options.mode === 'eager') return eagerSession(program);
  return tracedSession(program, options.mode);
}
