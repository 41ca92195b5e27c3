export { device } from '@moraine/engine';
export { type Base, loadBase } from './base.js';
export { type Failure, failureOf } from './failure.js';
export { type Control, type Emit, runSft } from './sft.js';
