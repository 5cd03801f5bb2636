export { compileModel } from './compile-model.js';
export { LIBRARY_CUT } from './cut-product.js';
export {
  CALIBRATION_BINS,
  CONFIDENCE_UNITS,
  type EvaluationTally,
  MAX_CONFUSION_CLASSES,
  RANK_BINS,
  type TallyLayout,
  tallyLayout,
  tallySamples,
} from './evaluation-tally.js';
export { initialWeights } from './initial-weights.js';
export { INT8_GROUP } from './int8-format.js';
export { createJsKernel } from './js-kernel.js';
export type {
  Kernel,
  LossSums,
  MicroBatchAddresses,
  Parameter,
  Program,
  UpdateAddresses,
  UpdateTerms,
} from './kernel.js';
export { KERNEL_IDS } from './kernel-ids.js';
export { learningRateAt } from './learning-rate.js';
export type { LinearMemory } from './linear-memory.js';
export { addLossSums } from './loss-sums.js';
export { autoMicroBatches, microBatchRange } from './micro-batches.js';
export type { InitSpec, LayerSpec, LossSpec, ModelSpec, OptimizerSpec, ScheduleSpec } from './model-spec.js';
export { optimizerSlotNames, optimizerSlots } from './optimizer-slots.js';

export { PHILOX_DOMAIN, type PhiloxCounter, type PhiloxKey, philox4x32, philoxKey } from './philox.js';
export { xxh64 } from './plain/xxh64.js';
export type { Routines } from './routines.js';
export { ORDER_KEYS, sampleOrder, samplePermutation } from './sample-permutation.js';
export { ALONE, multiplyInPieces, type Team, teamRoutines } from './team-routines.js';
export { createWasmKernel, isMultiplyAddFused, KERNEL_RESERVED_BYTES, WASM_MEMORY_IMPORT } from './wasm-kernel.js';
export {
  countWindows,
  type EpochWindows,
  epochWindows,
  type SampleWindow,
  sampleAtOf,
  type WindowCut,
  windowRows,
} from './window-order.js';
export { gradientBytes, scalesOffset, WIRE_FORMATS, type WireFormat, weightBytes } from './wire-format.js';
