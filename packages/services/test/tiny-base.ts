import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { smallTokenizer } from '@moraine/testing';
import type { Actor, Services } from '../src/index.js';
import {
  addToUpload,
  createApiKey,
  createBaseFromDir,
  createFile,
  ensureDefaultProject,
  startUpload,
  verifyApiKey,
} from '../src/index.js';

export const TINY_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
};

export interface RawTensor {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Tensors of a one-file safetensors model, in order and without gaps. */
export function layOut(shapes: Record<string, number[]>): Record<string, RawTensor> {
  let position = 0;
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const begin = position;
      position += 4 * shape.reduce((product, side) => product * side, 1);
      return [name, { dtype: 'F32', shape, data_offsets: [begin, position] }];
    }),
  );
}

/** The bytes of a safetensors file whose tensors are all zero. */
export function safetensors(tensors: Record<string, RawTensor>, extraBytes = 0): Buffer {
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...tensors }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const dataBytes = Math.max(0, ...Object.values(tensors).map((tensor) => tensor.data_offsets[1]));
  return Buffer.concat([length, header, Buffer.alloc(dataBytes + extraBytes)]);
}

export const TINY_SHAPES: Record<string, number[]> = {
  'model.embed_tokens.weight': [32, 16],
  'model.norm.weight': [16],
  ...Object.fromEntries(
    [0, 1].flatMap((layer) => {
      const path = `model.layers.${layer}`;
      return [
        [`${path}.input_layernorm.weight`, [16]],
        [`${path}.post_attention_layernorm.weight`, [16]],
        [`${path}.self_attn.q_proj.weight`, [16, 16]],
        [`${path}.self_attn.k_proj.weight`, [8, 16]],
        [`${path}.self_attn.v_proj.weight`, [8, 16]],
        [`${path}.self_attn.o_proj.weight`, [16, 16]],
        [`${path}.mlp.gate_proj.weight`, [24, 16]],
        [`${path}.mlp.up_proj.weight`, [24, 16]],
        [`${path}.mlp.down_proj.weight`, [16, 24]],
      ];
    }),
  ),
};

/** The files of a base of 4,432 parameters that nobody can talk to. */
export const tinyFiles = (): Record<string, Buffer | string> => ({
  'config.json': JSON.stringify(TINY_CONFIG),
  ...smallTokenizer(TINY_CONFIG.vocab_size),
  'model.safetensors': safetensors(layOut(TINY_SHAPES)),
});

/** A folder with these files. */
export async function writeFolder(files: Record<string, Buffer | string>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-base-'));
  await mkdir(dir, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), bytes);
  }
  return dir;
}

/** An upload with these files, as the HTTP server would have received them. */
export async function uploadOf(s: Services, files: Record<string, Buffer | string>) {
  const upload = startUpload();
  for (const [name, bytes] of Object.entries(files)) {
    await addToUpload(s, upload, name, Readable.from([Buffer.from(bytes)]), { sizeBytesMax: 1024 ** 3 });
  }
  return upload;
}

/** `count` good rows of prompt and completion. */
export const goodRows = (count: number): string =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ prompt: `${i} + 1 =`, completion: ` ${i + 1}` })).join('\n');

/** Uploads text as a JSONL file. */
export async function uploadRows(
  s: Services,
  actor: Actor,
  text: string,
  purpose = 'fine-tune',
  filename = 'rows.jsonl',
) {
  return createFile(s, actor, { upload: await uploadOf(s, { [filename]: text }), purpose });
}

/** A caller of the default project. */
export async function defaultActor(s: Services): Promise<Actor> {
  const project = await ensureDefaultProject(s);
  const { key } = await createApiKey(s, { projectId: project.id }, { name: 'test' });
  return verifyApiKey(s, key);
}

/** A caller of a project of their own. */
export async function otherActor(s: Services): Promise<Actor> {
  await s.db.project.create({ data: { id: 'proj_other', name: 'other' } });
  const { key } = await createApiKey(s, { projectId: 'proj_other' }, { name: 'test' });
  return verifyApiKey(s, key);
}

/** The tiny base, registered, and rows of each kind that an experiment names. */
export async function experimentFiles(s: Services, actor: Actor) {
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  const upload = async (rows: number): Promise<string> => (await uploadRows(s, actor, goodRows(rows))).id;
  return { train: await upload(64), valid: await upload(8), test: await upload(9), source: await upload(10) };
}
