export { createInference, type InferenceOptions } from './create-inference.js';
