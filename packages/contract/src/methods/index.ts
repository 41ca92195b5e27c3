// Every training method: one line a method. `registry.ts` makes the request, the stored configuration and the look-ups of these.
export { full } from './full.js';
export { lora } from './lora.js';
export { mora } from './mora.js';
export { oft } from './oft.js';
