export * from './batch.js';
export {
  type AnswerSpan,
  type ChatTemplate,
  compileTemplate,
  PLAIN_TEMPLATE,
  renderWithSpans,
} from './chat-template.js';
export * from './encode-row.js';
export { type Arrangement, type Layout, type LayoutOptions, layOut, planLayout } from './layout.js';
export { type LayoutCost, layoutCost, type ModelWidths } from './layout-cost.js';
export * from './random.js';
export {
  type ChatMessage,
  type ChatRow,
  type PromptRow,
  parseRow,
  type Role,
  type Row,
  type RowFormat,
  type RowProblem,
  type RowProblemCode,
  type TextRow,
} from './row.js';
export { loadTokenizer, type TextTokenizer } from './tokenizer.js';
export {
  describeProblem,
  type FileProblem,
  type FileReport,
  type FileStats,
  PROBLEMS_MAX,
  readRows,
  validateFile,
} from './validate-file.js';
