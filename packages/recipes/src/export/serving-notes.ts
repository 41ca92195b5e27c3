import type { AdapterFiles } from '@moraine/lm';

/** Values of vLLM's --max-lora-rank (vllm/config/lora.py, 0.27); 16 where it is not given. */
const VLLM_RANKS = [8, 16, 32, 64, 128, 256, 320, 512];
const VLLM_RANK_DEFAULT = 16;

/**
 * What vLLM and llama.cpp make of an adapter's files, a sentence for each limit that it meets. Read in vllm/lora/peft_helper.py and
 * vllm/config/lora.py, and in llama.cpp's convert_lora_to_gguf.py.
 */
export function servingNotes({ configName, config, tensors }: AdapterFiles): string[] {
  if (configName !== 'adapter_config.json')
    return ['Only Moraine reads this form. For vLLM and llama.cpp take the merged model, or format lora with a rank.'];
  if (config.peft_type !== 'LORA')
    return [
      `vLLM and llama.cpp load LoRA alone, not ${String(config.peft_type)}: take the merged model, or format lora with a rank.`,
    ];
  return [...doraNotes(config), ...wholeNotes(config, [...tensors.keys()]), ...rankNotes(Number(config.r))];
}

const doraNotes = ({ use_dora }: AdapterFiles['config']): string[] =>
  use_dora === true ? ['vLLM and llama.cpp do not load DoRA: take the merged model, or format lora with a rank.'] : [];

function wholeNotes({ modules_to_save: whole }: AdapterFiles['config'], names: readonly string[]): string[] {
  if (!Array.isArray(whole) || whole.length === 0) return [];
  const kept = names.filter((name) => !/\.lora_(A|B|magnitude_vector)(\.weight)?$/.test(name));
  // The converter passes names with these parts on, and llama.cpp ignores them; it ends at all others.
  const refused = kept.find((name) => !name.includes('_layernorm') && !name.includes('.norm'));
  const llama =
    refused === undefined
      ? 'llama.cpp loads the adapter without them'
      : `llama.cpp's converter ends at ${refused.replace('base_model.model.', '')}`;
  return [
    `vLLM refuses modules that are trained whole (modules_to_save: ${whole.length} of them), and ${llama}: take the merged model.`,
  ];
}

function rankNotes(rank: number): string[] {
  const needed = VLLM_RANKS.find((most) => most >= rank);
  if (needed === undefined)
    return [
      `vLLM loads a LoRA up to rank ${VLLM_RANKS.at(-1)}, and this one has ${rank}: take the merged model, or format lora with a smaller rank.`,
    ];
  return needed > VLLM_RANK_DEFAULT
    ? [`vLLM loads rank ${rank} when it is started with --max-lora-rank ${needed}.`]
    : [];
}
