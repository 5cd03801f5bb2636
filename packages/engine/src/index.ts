export type { LossSums } from '#kernel';
export { openAveragerEngine } from './averager-engine.js';
export type {
  AdoptRequest,
  AverageRequest,
  AverageResult,
  AveragerEngine,
  AveragerEngineOptions,
  EvaluationRequest,
  GradientRequest,
  GradientResult,
  KernelName,
  LeaseEngine,
  LeaseRequest,
  LeaseResult,
  LeaseStepResult,
  ShardRows,
  Sharing,
  SplitName,
  WorkerEngine,
  WorkerEngineOptions,
} from './engine.js';
export { KERNEL_NAMES } from './engine.js';
export { KernelThreadError, KernelUnavailableError, MissingRowError } from './engine-errors.js';
export {
  type ChosenKernel,
  chooseKernel,
  findKernel,
  KERNEL_CHOICES,
  type KernelChoice,
  type KernelFinding,
  offeredKernels,
} from './kernel-choice.js';
export { type KernelSelfTest, kernelSelfTest } from './kernel-self-test.js';
export { averagerMemoryBytes, fitsWithLeases, workerFits, workerMemoryBytes } from './memory-plan.js';
export { openWorkerEngine } from './worker-engine.js';
