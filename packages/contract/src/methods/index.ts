// Every training method: one line a method. `registry.ts` makes the request, the stored configuration and the look-ups of these.
export { dora } from './dora.js';
export { full } from './full.js';
export { gralora } from './gralora.js';
export { hira } from './hira.js';
export { lora } from './lora.js';
export { miss } from './miss.js';
export { mora } from './mora.js';
export { oft } from './oft.js';
export { pissa } from './pissa.js';
