/** The objects of the wire. Times are unix seconds, sizes bytes. Fields beyond the OpenAI specification are ours and optional to its clients. */
export * from './analyses.js';
export { ErrorBody, listOf } from './common.js';
export * from './evaluations.js';
export * from './experiments.js';
export * from './files.js';
export * from './models.js';
export * from './runs.js';
export * from './stream.js';
export * from './workers.js';
