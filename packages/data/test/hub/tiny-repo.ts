import { randomBytes } from 'node:crypto';
import type { HubRepo } from '@moraine/testing/hub';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

const CONFIG = {
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

/** A model as a hub has it: its weights are random bytes, which only the hub's record knows. */
export const tinyRepo = (files: HubRepo['files'] = {}): HubRepo => ({
  commit: COMMIT,
  names: ['main', 'refs/pr/1'],
  files: {
    '.gitattributes': '*.safetensors filter=lfs',
    'README.md': '# tiny',
    'config.json': JSON.stringify(CONFIG),
    'tokenizer.json': '{"model": {"type": "BPE", "vocab": {}, "merges": []}}',
    'tokenizer_config.json': '{"eos_token": "</s>"}',
    'generation_config.json': '{}',
    'modeling_tiny.py': 'import os',
    'pytorch_model.bin': 'pickled',
    'onnx/config.json': '{}',
    'model.safetensors': randomBytes(300_000),
    ...files,
  },
});
