// The rule of every optimiser, under its name in a configuration: one line an optimiser.
export { adam as adamw } from './adam.js';
export { lion } from './lion.js';
