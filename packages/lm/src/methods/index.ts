// Every method that trains an adapter: one line a method, under the name of the contract's row.
export { lora } from './lora.js';
export { mora } from './mora.js';
export { oft } from './oft.js';
