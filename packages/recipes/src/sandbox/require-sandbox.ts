import { AppError } from '@moraine/contract';
import { findTools, type SandboxTools } from './find-tools.js';
import { SANDBOX_LIMITS } from './launcher.js';
import { tryProgram, wordsOf } from './run-program.js';

let checked: Promise<void> | null = null;

/**
 * Checks that code can be run here, once a process where it can.
 * @throws AppError `runtime_missing` with what to install, or with what bubblewrap says where it is not permitted.
 */
export function requireSandbox(): Promise<void> {
  checked ??= findTools()
    .then(checkSandbox)
    .catch((error: unknown) => {
      checked = null;
      throw error;
    });
  return checked;
}

/** Runs an empty program. @throws AppError `runtime_missing` with what bubblewrap says. */
export async function checkSandbox(tools: SandboxTools): Promise<void> {
  const result = await tryProgram('', { wallMs: 60_000, cpuSeconds: 20 }, tools);
  if (result.ending === 'finished') return;
  const said = wordsOf(result, SANDBOX_LIMITS);
  throw new AppError('runtime_missing', `Code runs in a sandbox only, and bubblewrap does not run here: ${said}.`, {
    hint: 'It needs version 0.8 (apt-get install bubblewrap) and user namespaces: on the host, sysctl kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0 where they exist; in a container, what deploy/sandbox.yml sets (docs/sandbox.md). Or leave out evaluators that run code.',
  });
}
