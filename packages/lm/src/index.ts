export { type ModelConfig, parseModelConfig } from '@moraine/contract/plan';
export { type Adapter, adapterNet, adapterShapes, initialAdapter } from './adapter.js';
export { type Supervised, supervised } from './batch.js';
export { type Evaluation, evaluate, type TokenScores } from './evaluate.js';
export { type AdapterForms, exportAdapter } from './export.js';
export {
  type AdapterStore,
  adapterFeeds,
  adapterRowsNet,
  adapterSignatures,
  adapterVariables,
  createAdapterStore,
} from './generation/adapter-rows.js';
export type { Answer, BeginOptions, Completion } from './generation/answer.js';
export { generationVariables } from './generation/cache.js';
export { type Constraint, createConstraint } from './generation/constraint/constraint.js';
export { createJsonGrammar } from './generation/constraint/json.js';
export { chain, oneOf, type Place } from './generation/constraint/place.js';
export { createVocabulary, type Vocabulary } from './generation/constraint/vocabulary.js';
export { createGenerator, type Generator } from './generation/generator.js';
export type { NetOf } from './generation/net-of.js';
export type { AdapterRows, GenerateOptions, RowAdapter } from './generation/options.js';
export type { GenerationPlan } from './generation/plan.js';
export { generationSignatures } from './generation/program.js';
export type { TokenProbability } from './generation/rows.js';
export type { PromptScores } from './generation/score-prompt.js';
export { type HostTensor, toDevice, toHost, type WeightSource, weightReader } from './host.js';
export { type InRows, inRows } from './in-rows.js';
export { initialWeights, type WeightInit } from './init.js';
export {
  type ControlFigures,
  createLayerLab,
  type LayerLab,
  type Overlap,
  type UpdateFigures,
} from './lab/layer-lab.js';
export { layerUpdate, type Update, updateMatrix, wholeUpdate } from './lab/update.js';
export { adapterAtLambda, between, rowVariables, scaledVariables } from './lambda.js';
export { exportLowRank, type LowRankError, lowRankOf } from './low-rank.js';
export { createMerge } from './merge.js';
export type { AdapterFiles, LinearDims, Method, StoredMethod } from './methods/method.js';
export { createMethod, type MethodOptions, storedMethod } from './methods/registry.js';
export type { AdapterSource } from './methods/source.js';
export { forward, headLogits, hiddenStates, inverseFrequencies, type ModelInput } from './model.js';
export { createModel, type MadeWeight, type Model, type ModelOptions } from './model-session.js';
export { createNet, type Net } from './net.js';
export { createOptimizer, type OptimizerOptions } from './optim/index.js';
export type { Gradient, Link, Optimizer } from './optim/optimizer.js';
export { learningRateAt, type Schedule } from './optim/schedule.js';
export { mix32, seededFor } from './random.js';
export { logitsOf, type ReadModel } from './reading-net.js';
export type { StepResult } from './run-step.js';
export { gradName, microName } from './step.js';
export { createTrainer, type Trainer, type TrainerOptions, trainingProgram } from './trainer.js';
export type { StateShapes, TrainerState } from './trainer-state.js';
