import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { AppError } from '@moraine/contract';
import { findTools, SANDBOX_PATH, type SandboxTools } from './find-tools.js';
import { launcherOf, SANDBOX_LIMITS, type SandboxLimits } from './launcher.js';

export interface ProgramResult {
  /** `finished`: it ran to its end. `exited`: it ended before that, by itself or by a limit on its processor time or memory. */
  ending: 'finished' | 'exited' | 'time' | 'output';
  /** Exit status; 128 and a signal's number where one ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A user that owns nothing: a process limit does not bind root. */
const NOBODY = 65534;

/**
 * Runs a Python program in new user, process, network, mount, IPC and host-name namespaces (bubblewrap). It sees the interpreter and the
 * libraries read-only, an empty temporary folder of its own in memory, four devices, and nothing else: no home, no /etc, no /proc, no other
 * process, no network, no variables. Ends within the limits, with every process that it started; the kernel ends them too when the caller dies.
 * As root it runs as nobody. Memory is bounded for one process (times `processes` in all); under pressure the kernel takes it first.
 * @throws AppError `runtime_missing` where bubblewrap or Python is not installed, `internal` with bubblewrap's words where the sandbox did not start: that says nothing of
 * the program.
 */
export async function runProgram(
  source: string,
  limits: Partial<SandboxLimits> = {},
  tools?: SandboxTools,
): Promise<ProgramResult> {
  const { hasStarted, ...result } = await tryProgram(source, limits, tools ?? (await findTools()));
  if (hasStarted) return result;
  const message = `The sandbox for code did not start: ${wordsOf(result, { ...SANDBOX_LIMITS, ...limits })}.`;
  throw new AppError('internal', message, { hint: 'Run `npx moraine doctor` on the machine of the worker.' });
}

/** Why a sandbox did not start: the last line that bubblewrap, or Python in it, wrote. */
export function wordsOf({ ending, code, stderr }: ProgramResult, { startMs }: Pick<SandboxLimits, 'startMs'>): string {
  const said = stderr.trim().split('\n').at(-1)?.replace(/\.$/, '').slice(0, 500);
  return said || (ending === 'time' ? `it took more than ${startMs / 1000} s` : `it ended with exit status ${code}`);
}

/** A program's end, and whether it began: without that a sandbox's failure would be the program's. @throws what cannot be started at all. */
export function tryProgram(
  source: string,
  limits: Partial<SandboxLimits>,
  tools: SandboxTools,
): Promise<ProgramResult & { hasStarted: boolean }> {
  const all = { ...SANDBOX_LIMITS, ...limits };
  const child = start(tools, all);
  const marks = { begun: `${randomUUID()}\n`, ended: `${randomUUID()}\n` };
  // A program that has ended before it was read leaves a broken pipe.
  child.stdin?.on('error', () => {});
  child.stdin?.end(marks.begun + marks.ended + source);
  return watch(child, marks, all);
}

function start(tools: SandboxTools, limits: SandboxLimits): ChildProcess {
  const owner = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  // The shell only says whom the kernel shall end first when memory runs out.
  const script = 'echo 1000 2>/dev/null > /proc/$$/oom_score_adj; exec "$@"';
  const command = ['-c', script, 'sh', tools.bwrap, ...boundsOf(tools, limits.fileBytes), '--'];
  const program = [tools.python, '-s', '-B', '-c', launcherOf(limits)];
  return spawn('/bin/sh', [...command, ...program], {
    ...owner,
    cwd: '/',
    env: { PATH: SANDBOX_PATH },
    detached: true,
    stdio: 'pipe',
  });
}

/** The arguments of bubblewrap: what is new, what is seen, what is set. */
function boundsOf({ python, libraries }: SandboxTools, fileBytes: number): string[] {
  const devices = ['null', 'zero', 'random', 'urandom'].map((name) => `/dev/${name}`);
  const variables = { PATH: '/nowhere', HOME: '/tmp', LANG: 'C.UTF-8', PYTHONUTF8: '1', PYTHONHASHSEED: '0' };
  return [
    ...['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--disable-userns', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    ...['--uid', String(NOBODY), '--gid', String(NOBODY), '--hostname', 'sandbox', '--clearenv'],
    ...Object.entries(variables).flatMap(([name, value]) => ['--setenv', name, value]),
    ...libraries.flatMap((folder) => ['--ro-bind-try', folder, folder]),
    ...['--ro-bind', python, python, '--ro-bind-try', '/etc/ld.so.cache', '/etc/ld.so.cache'],
    ...devices.flatMap((device) => ['--dev-bind', device, device]),
    ...['--size', String(fileBytes), '--tmpfs', '/tmp', '--chdir', '/tmp', '--remount-ro', '/'],
  ];
}

function watch(
  child: ChildProcess,
  marks: { begun: string; ended: string },
  limits: SandboxLimits,
): Promise<ProgramResult & { hasStarted: boolean }> {
  return new Promise((resolve, reject) => {
    let ended: 'time' | 'output' | null = null;
    const stop = (why: 'time' | 'output'): void => {
      ended ??= why;
      endGroup(child);
    };
    let timer = setTimeout(stop, limits.startMs, 'time');
    // Its first bytes are the mark that it has begun.
    child.stdout?.once('data', () => {
      clearTimeout(timer);
      timer = setTimeout(stop, limits.wallMs, 'time');
    });
    const most = limits.outputBytes + marks.begun.length + marks.ended.length;
    const read = [child.stdout, child.stderr].map((stream) => collect(stream, most, () => stop('output')));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      const [written = '', stderr = ''] = read.map((text) => text());
      const hasStarted = written.startsWith(marks.begun);
      const stdout = hasStarted ? written.slice(marks.begun.length) : written;
      const end = stdout.indexOf(marks.ended);
      const isFinished = code === 0 && end >= 0;
      const ending = ended ?? (isFinished ? 'finished' : 'exited');
      resolve({ hasStarted, ending, code, stdout: isFinished ? stdout.slice(0, end) : stdout, stderr });
    });
  });
}

/** Ends bubblewrap; its namespace's first process ends with it, and the kernel ends every other in it. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

/** Keeps the first `most` bytes of a stream; `overflow` is called when there are more. */
function collect(stream: ChildProcess['stdout'], most: number, overflow: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size < most) chunks.push(chunk.subarray(0, most - size));
    size += chunk.length;
    if (size > most) overflow();
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
