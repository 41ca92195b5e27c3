import { expect, test } from 'vitest';
import { AdapterRequest } from '../src/methods/registry.js';
import { matchModules, parseModelConfig, resolveAdapter, totalParameters, wholeWeights } from '../src/plan/index.js';

const configOf = (tied: boolean) =>
  parseModelConfig({
    model_type: 'llama',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: tied,
  });
const [tied, untied] = [configOf(true), configOf(false)];

test('modules are named by kind, by words of their path, or by a range of layers', () => {
  expect(matchModules(untied, ['norms'], [])).toEqual([
    'model.layers.0.input_layernorm',
    'model.layers.0.post_attention_layernorm',
    'model.layers.1.input_layernorm',
    'model.layers.1.post_attention_layernorm',
    'model.norm',
  ]);
  expect(matchModules(untied, ['head', 'embeddings'], [])).toEqual(['model.embed_tokens', 'lm_head']);
  expect(matchModules(untied, ['layers.[1-1].mlp'], [])).toHaveLength(3);
});

test('what no module is called is refused, and the head of a tied base by its reason', () => {
  expect(() => matchModules(untied, ['norm', 'nroms'], [])).toThrow(
    expect.objectContaining({ hint: "Did you mean 'norms'?" }),
  );
  expect(() => matchModules(tied, ['head'], [])).toThrow(
    expect.objectContaining({ code: 'no_target_matched', hint: expect.stringContaining("'embeddings'") }),
  );
  const both = AdapterRequest.parse({ target_modules: ['q_proj'], modules_to_save: ['layers.0'] });
  expect(() => resolveAdapter(both, tied)).toThrow(
    'trains model.layers.0.self_attn.q_proj whole, which has an adapter',
  );
});

test('whole modules are counted beside an adapter, and alone with type none', () => {
  const count = (body: unknown, base = tied) => resolveAdapter(AdapterRequest.parse(body), base);
  const lora = count({ rank: 2 }).trainableParameters;
  const norms = 5 * 32;
  expect(count({ rank: 2, modules_to_save: ['norms'] })).toMatchObject({
    trainableParameters: lora + norms,
    adapter: { modules_to_save: expect.arrayContaining(['model.norm']) },
  });
  const alone = count({ type: 'none', modules_to_save: ['norms', 'embeddings'] });
  expect(alone.trainableParameters).toBe(norms + 64 * 32);
  expect(wholeWeights(alone.adapter, tied)).toHaveLength(6);
  expect(count({ type: 'none' }).trainableParameters).toBe(totalParameters(tied));
  expect(wholeWeights({ type: 'none' }, tied)).toBeNull();
  expect(wholeWeights(count({ rank: 2 }).adapter, tied)).toEqual([]);
});
