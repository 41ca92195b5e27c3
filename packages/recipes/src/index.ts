export { device } from '@moraine/engine';
export { type Base, loadBase, readWeight } from './base.js';
export type { Control, Emit } from './control.js';
export { type Failure, failureOf } from './failure.js';
export { runSft } from './sft.js';
