// Expected limits: vLLM's vllm/config/lora.py and vllm/lora/peft_helper.py, llama.cpp's convert_lora_to_gguf.py, as the notes cite them.
import { describe, expect, it } from 'vitest';
import { servingNotes } from '../src/export/serving-notes.js';

const tensor = { shape: [1], data: new Float32Array(1) };
const peft = (config: Record<string, unknown>, more: string[] = []) => ({
  configName: 'adapter_config.json',
  weightsName: 'adapter_model.safetensors',
  config: { peft_type: 'LORA', r: 8, modules_to_save: null, use_dora: false, ...config },
  tensors: new Map(
    ['base_model.model.model.layers.0.mlp.up_proj.lora_A.weight', ...more].map((name) => [name, tensor] as const),
  ),
});

describe('what is said of vLLM and llama.cpp', () => {
  it('is nothing for a plain LoRA of a small rank', () => {
    expect(servingNotes(peft({}))).toEqual([]);
    expect(servingNotes(peft({ r: 16 }))).toEqual([]);
  });

  it.each([
    [17, /rank 17 when it is started with --max-lora-rank 32\./],
    [300, /--max-lora-rank 320/],
    [512, /--max-lora-rank 512/],
    [513, /up to rank 512, and this one has 513/],
  ])('of rank %i is what vLLM needs to be started with, if it can be', (r, said) => {
    expect(servingNotes(peft({ r }))).toEqual([expect.stringMatching(said)]);
  });

  it('of DoRA, of other methods and of our own form is what to take instead', () => {
    expect(servingNotes(peft({ use_dora: true }))[0]).toMatch(/do not load DoRA: take the merged model/);
    expect(servingNotes(peft({ peft_type: 'OFT' }))).toEqual([expect.stringMatching(/LoRA alone, not OFT/)]);
    expect(servingNotes({ ...peft({}), configName: 'mora_config.json' })).toEqual([
      expect.stringMatching(/Only Moraine/),
    ]);
  });

  it('of modules that are trained whole is that vLLM refuses them, and where llama.cpp’s converter ends', () => {
    const norms = peft({ modules_to_save: ['model.norm'] }, ['base_model.model.model.norm.weight']);
    expect(servingNotes(norms)).toEqual([
      expect.stringMatching(/vLLM refuses.*llama\.cpp loads the adapter without them/),
    ]);
    const embeddings = peft({ modules_to_save: ['model.embed_tokens'] }, [
      'base_model.model.model.embed_tokens.weight',
    ]);
    expect(servingNotes(embeddings)).toEqual([expect.stringMatching(/converter ends at model\.embed_tokens\.weight/)]);
    const heads = peft({ modules_to_save: ['q_norm'] }, ['base_model.model.model.layers.0.self_attn.q_norm.weight']);
    expect(servingNotes(heads)).toEqual([expect.stringMatching(/ends at model\.layers\.0\.self_attn\.q_norm\.weight/)]);
  });
});
