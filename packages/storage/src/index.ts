export {
  type Checkpoint,
  checkpointFileName,
  type FoundCheckpoint,
  isKeptForGood,
  loadCheckpoint,
  newestCheckpoint,
  type Retention,
  type SavedCheckpoint,
  saveCheckpoint,
} from './checkpoint.js';
export { type EventLog, openEventLog } from './event-log.js';
export { checkInitialWeights, type InitialWeightsFile, readInitialWeights } from './initial-weights-file.js';
export { type Ledger, type LedgerOptions, openLedger, readLedger } from './ledger.js';
export { loadModel, MODEL_FILES, saveModel, type TrainedModel } from './model-file.js';
export { type PrepareOptions, prepareDataset } from './prepare-dataset.js';
export { openPreparedDataset, type PreparedDataset } from './prepared-dataset.js';
export { resolveInside } from './resolve-inside.js';
export { checkFence, createRunFolder, openRunFolder, type RunFolder, takeFence } from './run-folder.js';
export { decodeShard, encodeShard, type ShardContent, shardFileName } from './shard-file.js';
export { weightsSha256 } from './weights.js';
