// What a program may not do, tried by a program that does it: as root and as an ordinary user (a test process of root becomes nobody for that).
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findTools } from '../../src/sandbox/find-tools.js';
import { type ProgramResult, passes, requireSandbox, runProgram, type SandboxLimits } from '../../src/sandbox/index.js';
import { checkSandbox } from '../../src/sandbox/require-sandbox.js';

const NOBODY = 65534;
const own = process.getuid?.() ?? NOBODY;
const users = own === 0 ? [0, NOBODY] : [own];

/** Command lines of this machine's processes that hold a word. */
const processesWith = (word: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(word));

/** Python that starts a process which sleeps under a name, so that it can be found. */
const sleeper = (word: string): string =>
  `import os, sys, time
def start():
    if os.fork() == 0:
        os.execv(sys.executable, ["python3", "-c", "import time; time.sleep(600)", "${word}"])
`;

async function startAs(uid: number): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'child.ts'), [String(uid)], { execArgv: ['--import', 'tsx'] });
  await once(child, 'message');
  return child;
}

describe.each(users)('as user %i, a program', (uid) => {
  let child: ChildProcess;
  let count = 0;
  beforeAll(async () => {
    child = await startAs(uid);
  });
  afterAll(() => child.kill('SIGKILL'));

  const run = (program: string, limits: Partial<SandboxLimits> = {}): Promise<ProgramResult> =>
    new Promise((resolve) => {
      const id = count++;
      const take = (message: { id: number; result: ProgramResult }): void => {
        if (message.id !== id) return;
        child.off('message', take);
        resolve(message.result);
      };
      child.on('message', take);
      child.send({ id, program, limits });
    });

  /** Runs statements one by one; which of them did not raise. */
  async function allowed(...statements: string[]): Promise<string[]> {
    const program = `
import json, os, socket, ctypes
done = []
for statement in json.loads(${JSON.stringify(JSON.stringify(statements))}):
    try:
        exec(statement)
        done.append(statement)
    except Exception:
        pass
print(json.dumps(done))`;
    const { stdout, stderr } = await run(program);
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  }

  test('that is good runs to its end, with what it prints', async () => {
    expect(await run('print("Grüße", 6 * 7)\nopen("note", "w").write("x")')).toEqual({
      ending: 'finished',
      code: 0,
      stdout: 'Grüße 42\n',
      stderr: '',
    });
  });

  test('reaches no network: neither a server of this machine nor one outside', async () => {
    const server = createServer((socket) => socket.end('reached')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const connect = (host: string): string => `socket.create_connection(("${host}", ${port}), 2)`;
    expect(
      await allowed(connect('127.0.0.1'), connect('192.0.2.1'), 'socket.getaddrinfo("localhost.test", 80)'),
    ).toEqual([]);
    server.close();
  });

  test('reads nothing of the machine but the interpreter and its libraries', async () => {
    const data = mkdtempSync(join(tmpdir(), 'moraine-data-'));
    const secret = join(data, 'rows.jsonl');
    writeFileSync(secret, 'rows');
    const files = [secret, import.meta.filename, '/etc/passwd', '/etc/hostname', '/proc/1/environ', '/proc/meminfo'];
    const folders = [data, '/proc', '/sys', '/home', '/root', '/var', '/run', process.cwd()];
    try {
      expect(
        await allowed(
          ...files.map((file) => `open("${file}").read()`),
          ...folders.map((folder) => `os.listdir("${folder}")`),
          'assert set(os.listdir("/")) - {"usr", "lib", "lib64", "tmp", "dev", "etc"}',
          'assert set(os.environ) - {"PATH", "HOME", "LANG", "PWD", "PYTHONUTF8", "PYTHONHASHSEED"}',
        ),
      ).toEqual([]);
    } finally {
      rmSync(data, { recursive: true });
    }
  });

  test('writes nowhere but into its folder, and the next one does not find it', async () => {
    const places = ['/', '/usr/lib/', '/etc/', '/dev/', '/dev/shm/', '/var/', '/usr/bin/'];
    const write = (place: string): string => `open("${place}written-by-sandbox", "w").write("x")`;
    expect(
      await allowed(...places.map(write), 'os.remove("/usr/lib/os-release")', 'os.chmod("/usr/lib", 0o777)'),
    ).toEqual([]);
    expect(await allowed(write('/tmp/'))).toEqual([write('/tmp/')]);
    expect(await allowed('open("/tmp/written-by-sandbox")')).toEqual([]);
    expect(existsSync('/tmp/written-by-sandbox')).toBe(false);
  });

  test('fills neither a file nor its folder beyond the limit', async () => {
    const limits = { fileBytes: 4_000_000 };
    const large = await run('open("large", "wb").write(bytes(5_000_000))', limits);
    expect(large.stderr).toContain('File too large');
    const many = await run('for i in range(9): open(f"part{i}", "wb").write(bytes(1_000_000))', limits);
    expect(many.stderr).toContain('No space left on device');
  });

  test('that forks without end is held, and nothing of it is left', async () => {
    const word = randomUUID();
    const held = await run(`${sleeper(word)}
n = 0
try:
    while True:
        start()
        n += 1
except OSError as error:
    print(error.strerror)`);
    expect(held).toMatchObject({ ending: 'finished', stdout: 'Resource temporarily unavailable\n' });
    await expect.poll(() => processesWith(word)).toEqual([]);
    const bomb = await run('import os\nwhile True:\n    try: os.fork()\n    except OSError: pass', { wallMs: 700 });
    expect(['time', 'exited']).toContain(bomb.ending);
  });

  test('gets no more memory than the limit', async () => {
    const { ending, stderr } = await run('x = bytearray(600 * 1024 ** 2)');
    expect(ending).toBe('exited');
    expect(stderr).toContain('MemoryError');
  });

  test('cannot lift its limits', async () => {
    const lift = (name: string): string =>
      `import resource; resource.setrlimit(resource.RLIMIT_${name}, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))`;
    expect(await allowed(...['AS', 'CPU', 'NPROC', 'FSIZE'].map(lift))).toEqual([]);
  });

  test('that never ends is ended: by its processor time, by the clock where it sleeps', async () => {
    const busy = await run('while True: pass', { cpuSeconds: 1, wallMs: 60_000 });
    expect(busy).toMatchObject({ ending: 'exited', code: 128 + 24 });
    const stubborn = 'import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass';
    expect(await run(stubborn, { cpuSeconds: 1, wallMs: 60_000 })).toMatchObject({ ending: 'exited', code: 128 + 9 });
    expect(await run('import time; time.sleep(600)', { wallMs: 1000 })).toMatchObject({ ending: 'time' });
  });

  test('that floods an output is ended, and what is kept of it is bounded', async () => {
    const { ending, stdout } = await run('while True: print("flood" * 1000)');
    expect(ending).toBe('output');
    expect(stdout.length).toBeLessThan(70_000);
    expect(await run('import os\nwhile True: os.write(2, bytes(1000))')).toMatchObject({ ending: 'output' });
  });

  test('signals no other process, not even one of its own user', async () => {
    const victim = spawn('sleep', ['600'], own === 0 ? { uid: NOBODY, gid: NOBODY } : {});
    const ended = once(victim, 'exit');
    const kill = (pid: number | undefined): string => `os.kill(${pid}, 9)`;
    expect(await allowed(kill(victim.pid), kill(process.pid), kill(child.pid))).toEqual([]);
    await run('import os\nos.kill(-1, 9)');
    expect(victim.exitCode ?? victim.signalCode).toBeNull();
    victim.kill('SIGKILL');
    await ended;
  });

  test('makes no namespace of its own and mounts nothing', async () => {
    expect(
      await allowed(
        'assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0',
        'assert ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0',
        'os.setuid(0)',
      ),
    ).toEqual([]);
  });

  test('leaves nothing behind when it ends, nor when it is ended', async () => {
    const word = randomUUID();
    expect(await run(`${sleeper(word)}start()\ntime.sleep(0.2)`)).toMatchObject({ ending: 'finished' });
    await expect.poll(() => processesWith(word)).toEqual([]);
    await run(`${sleeper(word)}start()\ntime.sleep(600)`, { wallMs: 1500 });
    await expect.poll(() => processesWith(word)).toEqual([]);
  });

  test('ends when the caller is killed', async () => {
    const [caller, word] = [await startAs(uid), randomUUID()];
    caller.send({ id: 0, program: `${sleeper(word)}start()\ntime.sleep(600)`, limits: { wallMs: 600_000 } });
    await expect.poll(() => processesWith(word), { timeout: 20_000 }).not.toEqual([]);
    caller.kill('SIGKILL');
    await expect.poll(() => processesWith(word), { timeout: 20_000 }).toEqual([]);
  });
});

describe('a verdict', () => {
  const double = 'def double(x):\n    return x * 2';

  test('is that the tests ran to their end', async () => {
    await requireSandbox();
    expect(await passes(double, 'assert double(4) == 8')).toEqual({ passed: true, reason: null });
    expect(await passes(double, 'assert double(4) == 9, "no"')).toEqual({
      passed: false,
      reason: 'AssertionError: no',
    });
    expect(await passes('def double(x):', 'assert double(4) == 8')).toMatchObject({ passed: false });
  });

  test.each(['import sys; sys.exit(0)', 'import os; os._exit(0)', 'raise SystemExit', 'quit()'])(
    'is not given to a program that leaves before its tests: %s',
    async (leave) => {
      expect(await passes(leave, 'assert False')).toEqual({ passed: false, reason: 'It ended before its tests did.' });
    },
  );

  test('says which limit ended the program', async () => {
    expect((await passes('while True: pass', '', { cpuSeconds: 1 })).reason).toBe(
      'It took more than 1 s of processor time.',
    );
    expect((await passes('import time; time.sleep(9)', '', { wallMs: 500 })).reason).toBe(
      'It ran for more than 0.5 s.',
    );
    expect((await passes('while True: print(1)', '', { outputBytes: 100 })).reason).toBe(
      'It wrote more than 100 bytes.',
    );
  });

  test('does not run a main block, and does not wait for threads', async () => {
    expect(await passes('if __name__ == "__main__":\n    raise ValueError', '')).toMatchObject({ passed: true });
    const thread = 'import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()';
    expect(await passes(thread, '')).toMatchObject({ passed: true });
  });

  test('is taken of programs that replace or close their output, and of odd text', async () => {
    expect(await passes('import sys; sys.stdout.close()', '')).toMatchObject({ passed: true });
    expect(await passes('import io, sys; sys.stdout = io.StringIO()', 'print(1)')).toMatchObject({ passed: true });
    expect(await passes('x = "\u0000"', '')).toMatchObject({ passed: false });
    expect(await passes('x = "é\u{1F30B}"', 'assert len(x) == 2')).toMatchObject({ passed: true });
  });
});

describe('a sandbox that does not start', () => {
  const asked = 'def f(): pass';
  /** A bubblewrap of our own: a line of shell. */
  async function start(line: string, limits: Partial<SandboxLimits> = {}): Promise<ProgramResult> {
    const folder = mkdtempSync(join(tmpdir(), 'moraine-bwrap-'));
    const bwrap = join(folder, 'bwrap');
    writeFileSync(bwrap, `#!/bin/sh\n${line}\n`);
    chmodSync(folder, 0o755);
    chmodSync(bwrap, 0o755);
    try {
      return await runProgram(asked, limits, { ...(await findTools()), bwrap });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test.each([
    [
      'echo "bwrap: Creating new namespace failed: Resource temporarily unavailable" >&2; exit 1',
      {},
      'Resource temporarily unavailable',
    ],
    // What it is given it does not know: it has not become the launcher.
    ['cat > /dev/null; exit 0', {}, 'exit status 0'],
    ['echo anything; cat > /dev/null; exit 1', {}, 'exit status 1'],
    ['sleep 60', { startMs: 200 }, 'it took more than 0.2 s'],
  ])('says nothing of the program, and what it says is passed on: %s', async (line, limits, words) => {
    await expect(start(line, limits)).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringMatching(new RegExp(`^The sandbox for code did not start: .*${words}`)),
      hint: expect.stringContaining('doctor'),
    });
  });

  test('is one whose Python cannot start either', async () => {
    const tools = { ...(await findTools()), python: '/usr/lib/no-such-python' };
    await expect(runProgram(asked, {}, tools)).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('no-such-python'),
    });
  });
});

describe('without a sandbox, code is refused', () => {
  test('where bubblewrap is not installed, with what to install', async () => {
    await expect(findTools('/nowhere:/nor/here')).rejects.toMatchObject({
      code: 'runtime_missing',
      message: 'Code runs in a sandbox only, and bubblewrap (bwrap) was not found in /nowhere:/nor/here.',
      hint: expect.stringContaining('apt-get install bubblewrap'),
    });
  });

  test('where bubblewrap is not permitted, with what it says', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'moraine-bwrap-'));
    const bwrap = join(folder, 'bwrap');
    writeFileSync(bwrap, '#!/bin/sh\necho "bwrap: setting up uid map: Permission denied" >&2\nexit 1\n');
    chmodSync(folder, 0o755);
    chmodSync(bwrap, 0o755);
    try {
      await expect(checkSandbox({ ...(await findTools()), bwrap })).rejects.toMatchObject({
        code: 'runtime_missing',
        message: expect.stringContaining('setting up uid map: Permission denied'),
        hint: expect.stringContaining('user namespaces'),
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
