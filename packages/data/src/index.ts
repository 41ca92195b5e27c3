export * from './batch.js';
export * from './random.js';
