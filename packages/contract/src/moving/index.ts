export type { Json, Line, Lines } from './ledger.js';
export { MOVED_FROM, type Translated, translateJob } from './translate.js';
