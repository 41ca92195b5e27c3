export * from './linear-shapes.js';
export * from './llama-config.js';
