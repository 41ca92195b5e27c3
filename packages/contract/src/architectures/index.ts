// Every family of models: one line a family. `registry.ts` finds the one of a config.json among these.
export { gemma3 } from './gemma3.js';
export { llama } from './llama.js';
export { mistral } from './mistral.js';
export { olmo2 } from './olmo2.js';
export { phi3 } from './phi3.js';
export { qwen2 } from './qwen2.js';
export { qwen3 } from './qwen3.js';
export { smollm3 } from './smollm3.js';
