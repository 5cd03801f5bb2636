export type { LossSums } from '#kernel';
export { openAveragerEngine } from './averager-engine.js';
export type {
  AverageRequest,
  AverageResult,
  AveragerEngine,
  AveragerEngineOptions,
  EvaluationRequest,
  GradientRequest,
  GradientResult,
  KernelName,
  ShardRows,
  Sharing,
  SplitName,
  WorkerEngine,
  WorkerEngineOptions,
} from './engine.js';
export { KernelThreadError, MissingRowError } from './engine-errors.js';
export { kernelIdOf } from './kernel-loading.js';
export { type KernelSelfTest, kernelSelfTest } from './kernel-self-test.js';
export { averagerMemoryBytes, workerMemoryBytes } from './memory-plan.js';
export { openWorkerEngine } from './worker-engine.js';
