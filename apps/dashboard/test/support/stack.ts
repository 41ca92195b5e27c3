import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Client, createClient } from '@moraine/contract/client';
import { migratedDatabase } from '@moraine/testing';

const inRepo = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('No port.');
  return address.port;
}

/** The real thing: API and worker as processes of their own, on a Postgres and a Redis of the test run, serving the built dashboard. */
export class Stack {
  private readonly children = new Set<ChildProcess>();
  private api: ChildProcess | null = null;
  private constructor(
    readonly origin: string,
    readonly client: Client,
    readonly apiKey: string,
    private readonly env: NodeJS.ProcessEnv,
    private readonly closeDatabase: () => Promise<void>,
    private readonly dir: string,
  ) {}

  static async start(): Promise<Stack> {
    const database = await migratedDatabase();
    const port = await freePort();
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      DATABASE_URL: database.databaseUrl,
      REDIS_URL: database.redisUrl,
      MORAINE_BLOBS: database.blobsDir,
      HOST: '127.0.0.1',
      PORT: String(port),
      LOG_LEVEL: 'info',
      LOG_FORMAT: 'json',
    };
    const { stdout } = await promisify(execFile)(process.execPath, [inRepo('apps/api/dist/prepare.js')], { env });
    const origin = `http://127.0.0.1:${port}`;
    const apiKey = stdout.trim();
    const stack = new Stack(
      origin,
      createClient({ origin, apiKey }),
      apiKey,
      env,
      database.close,
      join(database.blobsDir, '..'),
    );
    await stack.startApi();
    return stack;
  }

  async startApi(): Promise<void> {
    this.api = this.run('api', 'apps/api/dist/main.js', {});
    for (let tries = 0; tries < 200; tries++) {
      const ready = await fetch(`${this.origin}/readyz`).catch(() => null);
      if (ready?.ok) return;
      await sleep(100);
    }
    throw new Error(`The API did not start: ${this.log('api')}`);
  }

  /** As a crash does it. */
  async killApi(): Promise<void> {
    const { api } = this;
    if (!api) return;
    api.kill('SIGKILL');
    if (api.exitCode === null && api.signalCode === null) await once(api, 'exit');
    this.api = null;
  }

  /** The API takes connections and says nothing, as a process does that hangs. */
  hangApi(): void {
    this.api?.kill('SIGSTOP');
  }

  wakeApi(): void {
    this.api?.kill('SIGCONT');
  }

  startWorker(name: string): ChildProcess {
    const workDir = join(this.dir, name);
    mkdirSync(workDir, { recursive: true });
    return this.run(name, 'apps/worker/dist/main.js', {
      MORAINE_WORKER_NAME: name,
      MORAINE_WORK_DIR: workDir,
      MORAINE_THREADS: '1',
    });
  }

  /** What a process wrote; for the message of a test that fails. */
  log(name: string): string {
    return readFileSync(join(this.dir, `${name}.log`), 'utf8').slice(-4000);
  }

  async close(): Promise<void> {
    this.wakeApi();
    await Promise.all(
      [...this.children].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
        await ended;
        clearTimeout(timer);
      }),
    );
    await this.closeDatabase();
  }

  private run(name: string, script: string, env: NodeJS.ProcessEnv): ChildProcess {
    const log = createWriteStream(join(this.dir, `${name}.log`), { flags: 'a' });
    const child = spawn(process.execPath, [inRepo(script)], {
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    this.children.add(child);
    return child;
  }
}

const EXAMPLES = inRepo('examples');

/** Registers the base model of the repo and uploads its example task. */
export async function uploadExamples(
  client: Client,
): Promise<{ model: string; training: string; validation: string; heldOut: string }> {
  const form = new FormData();
  form.append('name', 'moraine-tiny');
  for (const name of [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'model.safetensors',
  ])
    form.append('files', new Blob([readFileSync(join(EXAMPLES, 'base', name))]), name);
  const model = await client.call('createBase', { body: form });
  return {
    model: model.id,
    training: await uploadTask(client, 'record-train.jsonl', 600),
    validation: await uploadTask(client, 'record-validation.jsonl', 40),
    heldOut: await uploadTask(client, 'record-heldout.jsonl', 16),
  };
}

/** The first rows of a file of the example task. */
export async function uploadTask(client: Client, name: string, rows: number): Promise<string> {
  const lines = readFileSync(join(EXAMPLES, 'tasks', name), 'utf8')
    .split('\n')
    .slice(0, rows)
    .join('\n');
  const body = new FormData();
  body.append('file', new Blob([lines]), name);
  body.append('purpose', 'fine-tune');
  return (await client.call('createFile', { body })).id;
}
