export type { CallForm, ReadCall } from './call-form.js';
export { type CallFrame, findCallForm, frameOfCall } from './find-call-form.js';
export { decoderFor, type ReadAnswer, readAnswer } from './read-answer.js';
