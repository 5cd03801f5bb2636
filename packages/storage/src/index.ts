export { type Artifact, listArtifacts, type OpenArtifact, openArtifact } from './artifacts.js';
export { writeFileAtomically } from './atomic-file.js';
export { type AuditFinding, type AuditLog, checkAuditLog, openAuditLog } from './audit-log.js';
export { type Cell, explainNotANumber, readCell } from './cell.js';
export {
  type Checkpoint,
  checkpointFileName,
  type FoundCheckpoint,
  isKeptForGood,
  listCheckpoints,
  loadCheckpoint,
  newestCheckpoint,
  type Retention,
  type SavedCheckpoint,
  saveCheckpoint,
} from './checkpoint.js';
export { type ColumnReport, type DataReport, describeData, type Finding } from './data-report.js';
export { type DatasetCache, prepareCached } from './dataset-cache.js';
export { durableFiles, isDurableName } from './durable-files.js';
export { type EventLog, eventsOf, newestEvent, openEventLog } from './event-log.js';
export { expandSources, type ListFiles, listAmong, listInside } from './expand-sources.js';
export type { SourceFile } from './file-bytes.js';
export { checkInitialWeights, type InitialWeightsFile, readInitialWeights } from './initial-weights-file.js';
export { admitCertificate, createJoinToken, type NotAdmitted } from './join-tokens.js';
export { forgetInputs, type KeptSubmission, keepSubmission, readSubmission } from './kept-submission.js';
export { type Lead, takeLead } from './lead.js';
export { type Ledger, type LedgerOptions, type LedgerScan, openLedger, readLedger, scanLedger } from './ledger.js';
export { loadModel, MODEL_FILES, saveModel, type TrainedModel } from './model-file.js';
export { type PrepareOptions, prepareDataset } from './prepare-dataset.js';
export { openPreparedDataset, type PreparedDataset, readNearbyShard, wholeDataset } from './prepared-dataset.js';
export { resolveInside } from './resolve-inside.js';
export { addRollback, dropCheckpointsBeyond, type Rollback, readRollbacks, standing } from './rollbacks.js';
export {
  checkFence,
  checkRunsFolder,
  createRunFolder,
  currentFence,
  listRunFolders,
  makeInnerFolders,
  openRunFolder,
  type RunFolder,
  takeFence,
} from './run-folder.js';
export { encodeSafetensors } from './safetensors.js';
export { readSampleRows, type SampleFile } from './sample-rows.js';
export { decodeShard, encodeShard, type ShardContent, shardFileName } from './shard-file.js';
export { sourceNames } from './source-files.js';
export type { TableHeader, TableReader, TableRow } from './table-rows.js';
export { parameterTensor, weightsSha256 } from './weights.js';
export { bucketOf } from './word-buckets.js';
