export { checkAdapterAside, checkBaseAside } from './aside/check-aside.js';
export { encodeAside } from './aside/encode-aside.js';
export { estimateAside } from './aside/estimate-aside.js';
export { previewAside } from './aside/preview-aside.js';
export type { EncodedAside } from './aside/protocol.js';
export { splitAside } from './aside/split-aside.js';
export { validateAside, validateEvalsAside } from './aside/validate-aside.js';
export * from './batch.js';
export {
  type CallForm,
  type CallFrame,
  decoderFor,
  findCallForm,
  frameOfCall,
  type ReadAnswer,
  type ReadCall,
  readAnswer,
} from './calls/index.js';
export { type ChatTemplate, compileTemplate, PLAIN_TEMPLATE } from './chat-template.js';
export type { CheckedBase } from './check-base.js';
export { loadBaseTokenizer } from './check-tokenizer.js';
export { type Converted, type ConvertOptions, convertFile } from './convert/convert-file.js';
export { describeReport, leftOut } from './describe-report.js';
export type { DuplicateFinder, Duplicates } from './duplicates.js';
export { type EncodeReport, encodeFile, type Noted } from './encode-file.js';
export { type EncodedFile, encodeNamed } from './encode-named.js';
export { type DropReason, type EncodeOptions, encodeRow, type TrainingRow } from './encode-row.js';
export { estimateRun, type RunEstimate, type RunToEstimate, type ScoredFile, type TimeParts } from './estimate-run.js';
export { toPlain } from './exact-json.js';
export type { RowNote } from './label-row.js';
export { type Arrangement, type Layout, type LayoutOptions, layOut, planLayout } from './layout.js';
export { type LayoutCost, layoutCost, type ModelWidths } from './layout-cost.js';
export type { Lengths } from './lengths.js';
export { limitPrompt } from './limit-prompt.js';
export { parseRow } from './parse-row.js';
export { type Preview, type PreviewOptions, type PreviewRow, type PreviewToken, previewFile } from './preview-file.js';
export * from './random.js';
export { type Conversation, readConversation } from './read-messages.js';
export type {
  ChatMessage,
  ChatRow,
  PromptRow,
  Role,
  Row,
  RowFormat,
  TextRow,
} from './row.js';
export { createMixedOrder, createRowOrder, createRunOrder, type DrawnFile } from './row-order.js';
export type { RowProblem, RowProblemCode } from './row-problem.js';
export { planEvaluation, planTraining } from './run-layout.js';
export { type SplitPart, type SplitReport, splitFile } from './split-file.js';
export { parseUserJson, type StoredFile } from './stored-folder.js';
export * from './suites/index.js';
export { isNamedTemplate, listNamedTemplates, TEMPLATE_FILE, TOOL_TEMPLATE_FILE } from './template-files.js';
export { isTextToken } from './text-bytes.js';
export { loadTokenizer, type TextTokenizer } from './tokenizer.js';
export { TOKENIZER_FILES } from './tokenizer-files.js';
export {
  describeProblem,
  type FileProblem,
  type FileReport,
  type FileStats,
  PROBLEMS_MAX,
  readRows,
  validateFile,
} from './validate-file.js';
