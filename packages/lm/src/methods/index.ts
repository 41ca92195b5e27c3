// Every method that trains an adapter: one line a method, under the name of the contract's row.
export { dora } from './dora.js';
export { gralora } from './gralora.js';
export { hira } from './hira.js';
export { lora } from './lora.js';
export { miss } from './miss.js';
export { mora } from './mora.js';
export { oft } from './oft.js';
export { pissa } from './pissa.js';
