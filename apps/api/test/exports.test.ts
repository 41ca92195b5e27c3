import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ExportOrder } from '@moraine/contract';
import { claimRun, finishAttempt, recordExports, registerWorker, startAttempt } from '@moraine/services';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createExporter } from '../src/export/make-export.js';
import { baseFiles, prepare, safetensors, submit } from './fixtures.js';
import { startApi, type TestApi, type Wire } from './support.js';

const PATH = 'model.layers.0.self_attn.q_proj';
const CONFIG = {
  peft_type: 'LORA',
  r: 2,
  lora_alpha: 2,
  target_modules: ['q_proj'],
  bias: 'none',
};

/** A LoRA of one layer: A is all ones, B the row's number. The base is zeros, so the merged weight is B·A. */
function adapterBytes(): Uint8Array {
  const shapes = {
    [`base_model.model.${PATH}.lora_A.weight`]: [2, 16],
    [`base_model.model.${PATH}.lora_B.weight`]: [16, 2],
  };
  const bytes = safetensors(shapes);
  const values = new Float32Array(64).map((_, i) => (i < 32 ? 1 : Math.floor((i - 32) / 2)));
  bytes.set(new Uint8Array(values.buffer), bytes.length - 256);
  return bytes;
}

let api: TestApi;
let run: Wire;
const folder = (name: string): Promise<string> => mkdtemp(join(tmpdir(), `moraine-${name}-`));
beforeAll(async () => {
  api = await startApi();
  run = await submit(api, await prepare(api));
  const { services: s } = api;
  const workerId = await registerWorker(s, {
    ...{ name: 'test', pool: 'default', host: 'here', pid: 1, version: '0', cores: 1, memoryBytes: 1 },
    device: { kind: 'cpu', name: 'test', tensorflow: null, bfloat16: null },
  });
  const claim = await claimRun(s, { workerId, pool: 'default' });
  if (!claim) throw new Error('there is a run to claim');
  const dir = await folder('adapter');
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(CONFIG));
  await writeFile(join(dir, 'adapter_model.safetensors'), adapterBytes());
  await startAttempt(s, claim.token, { startStep: 0 });
  await recordExports(s, claim.token, [
    { kind: 'adapter', dir },
    { kind: 'merged', dir: null, sizeBytes: 1 },
  ]);
  await finishAttempt(s, claim.token, { step: 10, trainedTokens: 1 });
});
afterAll(() => api.close());

const get = (query: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${api.url}/v1/runs/${run.id}/adapter?${query}`, { ...init, headers: { authorization: `Bearer ${api.key}` } });

async function filesOf(response: Response): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const entry of Readable.from(response.body ?? []).pipe(extract()))
    files.set(entry.header.name, await buffer(entry));
  return files;
}

/** A tensor of a safetensors file. */
function tensorIn(file: Buffer | undefined, name: string): Float32Array {
  if (!file) throw new Error('no such file');
  const size = Number(file.readBigUInt64LE());
  const [begin, end] = JSON.parse(file.toString('utf8', 8, 8 + size))[name].data_offsets;
  return new Float32Array(file.buffer.slice(file.byteOffset + 8 + size + begin, file.byteOffset + 8 + size + end));
}

describe('a download that is made when it is asked for', () => {
  it('is the merged model of base and adapter, whole, with the companions of the base', async () => {
    const response = await get('format=merged');
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-tar']);
    expect(response.headers.get('content-disposition')).toContain(`${run.id}-merged.tar`);
    const files = await filesOf(response);
    expect([...files.keys()].sort()).toEqual([...Object.keys(baseFiles()), 'README.md', 'export.json'].sort());
    const merged = tensorIn(files.get('model.safetensors'), `${PATH}.weight`);
    expect([...merged]).toEqual(Array.from({ length: 256 }, (_, i) => 2 * Math.floor(i / 16)));
  });

  it('is a share of it at a lambda', async () => {
    const half = await filesOf(await get('format=merged&lambda=0.5'));
    const merged = tensorIn(half.get('model.safetensors'), `${PATH}.weight`);
    expect([...merged]).toEqual(Array.from({ length: 256 }, (_, i) => Math.floor(i / 16)));
    const adapter = await filesOf(await get('format=native&lambda=0.5'));
    const b = tensorIn(adapter.get('adapter_model.safetensors'), `base_model.model.${PATH}.lora_B.weight`);
    expect([...b]).toEqual(Array.from({ length: 32 }, (_, i) => Math.floor(i / 2) / 2));
  });

  it('is a LoRA of another rank, with its error', async () => {
    const files = await filesOf(await get('format=lora&rank=1'));
    expect(JSON.parse(String(files.get('adapter_config.json')))).toMatchObject({ r: 1, lora_alpha: 1 });
    const { error, rank } = JSON.parse(String(files.get('export.json')));
    expect(rank).toBe(1);
    expect(error.total).toBeLessThan(1e-5); // B·A has rank 1
  });

  it('takes a rank beyond its layers, and is refused as a LoRA without one', async () => {
    const response = await get('format=lora&rank=512');
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    const bad = await get('format=lora');
    expect([bad.status, (await bad.json()).error.param]).toEqual([400, 'rank']);
  });
});

/** A program in place of the one that makes exports. */
async function programOf(code: string): Promise<string> {
  const file = join(await folder('program'), 'program.mjs');
  await writeFile(file, code);
  return file;
}
const order = {} as ExportOrder;
const READY = `process.once('message', () => { process.send({ type: 'ready' });`;

describe('the process that makes an export', () => {
  it('hands on its refusal', async () => {
    const refused = `process.once('message', () => process.send({ type: 'refused', code: 'unsupported_format', message: 'No.', param: 'rank', hint: 'Yes.' }));`;
    await expect(createExporter(await programOf(refused))(order)).rejects.toMatchObject({
      ...{ code: 'unsupported_format', message: 'No.', param: 'rank', hint: 'Yes.' },
    });
  });

  it('that ends without a word is unavailable, and one that ends in the middle gives no end of the stream', async () => {
    await expect(createExporter(await programOf(`process.exit(7)`))(order)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('7'),
    });
    const half = await createExporter(
      await programOf(`${READY} process.stdout.write('half', () => process.exit(3)); });`),
    )(order);
    await expect(buffer(half)).rejects.toThrow(/status 3/);
  });

  it('ends when its reader goes away', async () => {
    const endless = `${READY} process.stdout.write(String(process.pid) + '\\n'); setInterval(() => process.stdout.write('x'.repeat(1000)), 1); });`;
    const stream = await createExporter(await programOf(endless))(order);
    let pid = 0;
    for await (const piece of stream) {
      pid = Number.parseInt(String(piece), 10);
      break;
    }
    expect(pid).toBeGreaterThan(0);
    await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
  });

  it('has no address or password of a server', async () => {
    const tell = `${READY} process.stdout.write(Object.keys(process.env).join(), () => process.exit(0)); });`;
    process.env.DATABASE_URL = 'postgres://secret';
    const names = String(await buffer(await createExporter(await programOf(tell))(order))).split(',');
    delete process.env.DATABASE_URL;
    expect(names).toContain('PATH');
    expect(names).not.toContain('DATABASE_URL');
  });

  it('waits for a place, and says so when none comes free', async () => {
    const slow = `${READY} process.stdout.write('begun'); process.stdin.resume(); setInterval(() => {}, 1000); });`;
    const make = createExporter(await programOf(slow), 300);
    const [first, second] = await Promise.all([make(order), make(order)]);
    await expect(make(order)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('2 exports'),
    });
    const waiting = make(order);
    first.destroy();
    (await waiting).destroy();
    second.destroy();
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

it('the server answers others while an export is made', async () => {
  let slowest = 0;
  const isDone = { value: false };
  const download = get('format=merged').then(async (response) => {
    await response.arrayBuffer();
    isDone.value = true;
  });
  while (!isDone.value) {
    const begun = performance.now();
    await fetch(`${api.url}/healthz`);
    slowest = Math.max(slowest, performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await download;
  expect(slowest).toBeLessThan(1_000);
});
