/** What a sandboxed program may use. */
export interface SandboxLimits {
  /** Until a sandbox that has not started is given up, in milliseconds: on a busy machine a start takes seconds. */
  startMs: number;
  /** From the program's beginning until it is ended, in milliseconds. */
  wallMs: number;
  /** Processor time of one process, in seconds: what ends an endless loop, however busy the machine is. */
  cpuSeconds: number;
  /** Address space of one process. */
  memoryBytes: number;
  /** Processes and threads at once, the program's own and bubblewrap's two included. */
  processes: number;
  /** What it may write to standard output and to standard error, each. */
  outputBytes: number;
  /** Size of a file, and of all files in its temporary folder. */
  fileBytes: number;
}

export const SANDBOX_LIMITS: SandboxLimits = {
  startMs: 60_000,
  wallMs: 10_000,
  cpuSeconds: 3,
  memoryBytes: 512 * 1024 ** 2,
  processes: 16,
  outputBytes: 64 * 1024,
  fileBytes: 16 * 1024 ** 2,
};

/**
 * The Python program that limits itself and then becomes the given one: standard input holds a line that is printed before the program begins, one that is printed once it
 * has run to its end, and the program. Only who has read them knows the two. `__name__` is not `__main__`, as in the usual harness, so a main block does not run. os._exit: threads that stay behind end.
 * Limits are set in here, not outside: the kernel counts processes by user namespace.
 */
export function launcherOf(limits: SandboxLimits): string {
  const { memoryBytes, cpuSeconds, fileBytes, processes } = limits;
  const soft: Record<string, number> = { AS: memoryBytes, FSIZE: fileBytes, NPROC: processes, NOFILE: 128, CORE: 0 };
  return `
import os, resource, sys
for name, most in ${JSON.stringify(soft)}.items():
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (most, most))
resource.setrlimit(resource.RLIMIT_CPU, (${cpuSeconds}, ${cpuSeconds + 1}))
def run(marker, source):
    exec(compile(source, "program", "exec"), {"__name__": "program"})
    try:
        sys.stdout.flush()
    except Exception:
        pass  # the program closed or replaced it
    os.write(1, marker.encode())
    os._exit(0)
os.write(1, sys.stdin.readline().encode())
run(sys.stdin.readline(), sys.stdin.read())
`;
}
