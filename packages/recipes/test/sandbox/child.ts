// Runs sandboxed programs for a test, as root or, once it has laid that down, as an ordinary user. Forked: the parent sends, this returns.
import { runProgram, type SandboxLimits } from '../../src/sandbox/index.js';

interface Request {
  id: number;
  program: string;
  limits: Partial<SandboxLimits>;
}

const uid = Number(process.argv[2]);
if (process.getuid?.() !== uid) {
  process.setgroups?.([]);
  process.setgid?.(uid);
  process.setuid?.(uid);
}
process.on('message', async ({ id, program, limits }: Request) => {
  process.send?.({ id, result: await runProgram(program, limits) });
});
process.send?.({ id: -1, result: null });
