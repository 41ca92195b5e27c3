export type { AnswerTask, Check, ChoiceTask, CodeTask, RowTask, StringOperation, SuiteItem, Task } from './item.js';
export { stripEnd } from './python-text.js';
export { readSuite, requireSuite, type SuiteItems, type SuiteOptions } from './read-suite.js';
