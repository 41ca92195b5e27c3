export * from './learning-rate.js';
export * from './linear-shapes.js';
export * from './llama-config.js';
export * from './parameters.js';
export * from './resolve-adapter.js';
export * from './resolve-config.js';
export * from './resolve-optimizer.js';
export * from './targets.js';
