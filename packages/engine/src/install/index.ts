export { cudaStubs } from '../cuda.js';
export { EngineError } from '../error.js';
export { type DoctorProblem, type DoctorReport, doctor, type NvidiaReport } from './doctor.js';
export { type InstallRuntimeOptions, installRuntime, type RuntimeStatus, runtimeStatus } from './install-runtime.js';
export { cachedValkey, type InstallValkeyOptions, installValkey } from './install-valkey.js';
export { findProgram, requireCompiler } from './prerequisites.js';
export type { InstallProgress, OnProgress } from './progress.js';
export { type CommandOptions, type CommandResult, runCommand } from './run-command.js';
export { type StagedRuntime, stageRuntime } from './stage-runtime.js';
