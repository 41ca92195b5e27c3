export {
  type Converted,
  convertFile,
  describeReport,
  leftOut,
  readSuite,
  type SplitReport,
  splitFile,
} from '@moraine/data';
export { device } from '@moraine/engine';
export { type Answer, type AnswerOptions, type Answers, answerPrompts, encodePrompt } from './answer-prompts.js';
export { type Base, loadBase, readBaseConfig, readWeight } from './base.js';
export { type BenchOptions, type BenchResult, runBench, WARM_UP } from './bench.js';
export { type BenchRows, type BenchRowsOptions, benchRows } from './bench-rows.js';
export { checkResume, type Replay } from './check-resume.js';
export type { Control, Emit } from './control.js';
export type { PlainCheck } from './evaluate/checks.js';
export { type ComparedRows, compareRows, type OwnAnswer } from './evaluate/compare-rows.js';
export { evaluateItems } from './evaluate/evaluate-items.js';
export { judgeGsm8k } from './evaluate/gsm8k.js';
export { type ModelPlace, type OpenModel, openModel } from './evaluate/open-model.js';
export type { EvaluateOptions } from './evaluate/parts.js';
export { type RowQuestion, readQuestions } from './evaluate/read-questions.js';
export type { ExportFacts } from './export/describe-export.js';
export type { ExportFile } from './export/files.js';
export { exportedTokenizer, makeExport } from './export/make-export.js';
export { writeExport } from './export/write-export.js';
export { type Failure, failureOf } from './failure.js';
export { ggufOfFolder } from './gguf/read-model.js';
export { analyseWeights, type WeightAnalysisOptions, type WeightAnalysisPlan } from './lab/analyse-weights.js';
export { type MeasureOptions, measureCanaries, readCanaries } from './lab/measure-canaries.js';
export { type Planted, type PlantOptions, plantCanaries } from './lab/plant-canaries.js';
export { planRun, type RunPlan, refuseNoFile, rehearseRun } from './plan-run.js';
export { BENCH_SHAPES, type BenchShape, benchConfig, writeRandomBase } from './random-base.js';
export { type ReadAdapter, readAdapter, readAdapterAt } from './read-adapter.js';
export { RECIPES, runJob } from './recipes.js';
export { runSft } from './run-sft.js';
export { type FileScore, type ScoreOptions, scoreFile } from './score-file.js';
export { callConstraint, jsonConstraint } from './serve/constraints.js';
export { hashTrained } from './serve/hash-trained.js';
export { openServed, type Served, type ServedAdapter, type ServeOptions } from './serve/open-served.js';
export type { LoadOptions, Resident } from './serve/residents.js';
export { createTextSoFar, type TextSoFar } from './serve/text-so-far.js';
export { readStart } from './start.js';
export { checkWeights } from './weight-bytes.js';
