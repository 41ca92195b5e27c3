// Every family of models: one line a family. `registry.ts` finds the one of a config.json among these.
export { llama } from './llama.js';
