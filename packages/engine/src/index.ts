export type { LossSums } from '#kernel';
export { openAveragerEngine } from './averager-engine.js';
export { collectClosedMemory } from './collect-memory.js';
export type {
  AdoptRequest,
  AverageRequest,
  AverageResult,
  AveragerEngine,
  AveragerEngineOptions,
  EvaluationRequest,
  EvaluationResult,
  GradientRequest,
  GradientResult,
  KernelName,
  LeaseEngine,
  LeaseRequest,
  LeaseResult,
  LeaseStepResult,
  LocalOptions,
  ShardRows,
  Sharing,
  SplitName,
  WindowedRows,
  WorkerEngine,
  WorkerEngineOptions,
} from './engine.js';
export { KERNEL_NAMES } from './engine.js';
export { KernelThreadError, KernelUnavailableError, MissingRowError, ModelTooLargeError } from './engine-errors.js';
export { type ForwardPass, openForwardPass } from './forward-pass.js';
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
export {
  averagerMemoryBytes,
  fitsWithLeases,
  mostInboxSlots,
  workerFits,
  workerMemoryBytes,
} from './memory-plan.js';
export { type WorkerUse, workerTouchedBytes } from './touched-memory.js';
export { type BlockRows, type WindowFiller, windowFiller } from './window-filler.js';
export { openWorkerEngine } from './worker-engine.js';
