export { advanceRun, receiptsOfStep, sumsOfStep } from './advance-run.js';
export { type Applicant, type Caller, type CallRecord, ROLES, type Role } from './callers.js';
export type { LedgerGround, LedgerProblem } from './check-ledger.js';
export { checkFigures, checkKernel, checkSamples, checkSteps, checkWriters } from './check-ledger.js';
export { type ClassFigures, type ClassReport, reportClasses } from './class-report.js';
export { cutBlocks } from './cut-blocks.js';
export { describeFiles, type FileNames, isFilePattern, listOfFiles } from './data-files.js';
export {
  type ArrayFormat,
  DATA_FORMATS,
  type DataFormat,
  filePathOf,
  formatOfName,
  isBareArray,
  memberOf,
} from './data-format.js';
export type { ColumnEncoding, DatasetInfo, Preprocessing, ShardInfo, SplitName } from './dataset.js';
export { metricsOf } from './epoch-metrics.js';
export type { ErrorCode, ErrorDetails, ErrorEnvelope, ErrorFacts, ErrorPlace } from './errors.js';
export { exitCodeOf, fromEnvelope, isOutsideFailure, RopeteamError, toEnvelope } from './errors.js';
export { startEventLimit } from './event-limit.js';
export type {
  FinalMetrics,
  Kept,
  Metrics,
  RunEvent,
  RunEventBody,
  RunSummary,
  StepPhases,
  StoppedBy,
  WorkerMeasure,
} from './events.js';
export type { FailpointName, Misfortune } from './failpoints.js';
export { armFailpoints, FAILPOINTS, failpoint, spoils } from './failpoints.js';
export { type FailureLimit, startFailureLimit } from './failure-limit.js';
export { figuresOf } from './figures.js';
export type { Grain, GrainDecision, GrainInputs, GrainPlan } from './grain.js';
export { GRAIN_CHOICES, isNews, planGrain } from './grain.js';
export { takesGradients } from './held-items.js';
export type { Fence, RunId, Step, WeightVersion, WorkerId } from './identities.js';
export { fence, isRunId, runId, runIdPart, step, weightVersion, workerId } from './identities.js';
export type { InitFrom } from './init-from.js';
export type { ColumnSpec, DataSpec, JobSpec, Scale, SplitSource, Task } from './job-spec.js';
export { leaseEnd, MOST_LEASE_STEPS } from './lease-length.js';
export { problemOfLease } from './leases.js';
export type { LedgerBlock, LedgerOrigin, LedgerRecord } from './ledger-record.js';
export { problemOfRecord } from './ledger-record.js';
export type { AverageTerms, CoordinatorUpdate, LocalSettings, LocalShape } from './local-steps.js';
export { averageTerms, coordinatorUpdate, effectiveCut, rateOfStep, ratesOfRound } from './local-steps.js';
export type {
  CoordinatorMessage,
  EvaluationReceipt,
  GradientFrame,
  GradientProof,
  GradientReceipt,
  LeaseFrame,
  LeaseProof,
  LeaseReceipt,
  LeaseSettings,
  LeaseStep,
  RunPlan,
  WeightsFrame,
  WorkerHello,
  WorkerMessage,
} from './messages.js';
export { FRAME_BYTES, PROTOCOL_VERSION } from './messages.js';
export { describe as describeNonFinite, rateOf } from './non-finite.js';
export { normOutlier, withNorm } from './norm-watch.js';
export { isObjectUrl, type ObjectUrl, objectUrl } from './object-url.js';
export type {
  CoordinatorHandlers,
  CoordinatorSession,
  CoordinatorSessionHandler,
  EncodedWeights,
  QueueObservation,
  SessionHandler,
  Submission,
  TakenItem,
  UploadedFile,
  WorkerSession,
  WorkQueues,
  WorkSource,
} from './ports.js';
export { foldTree } from './reduction-tree.js';
export { positionFrom, progressOf } from './run-progress.js';
export type { RunShape, StepSamples } from './run-shape.js';
export { evaluationItems, samplesOfLeaseStep, samplesOfStep, shapeRun } from './run-shape.js';
export type {
  BestEpoch,
  CopyReason,
  NonFinite,
  NonFinitePolicy,
  RunEffect,
  RunInput,
  RunPosition,
  RunStart,
  RunState,
} from './run-state.js';
export { committedSteps, isProgress, newRun } from './run-state.js';
export {
  askedWindows,
  cutOfWindow,
  DEFAULT_DATA_BYTES,
  isShuffled,
  resolveWindows,
  type SampleWindows,
  windowsOf,
} from './sample-windows.js';
export type { StopRules, WatchedMetric } from './stop-rules.js';
export { TRAINING_METRICS, WATCHED_METRICS } from './stop-rules.js';
export { nameRows } from './suspect-rows.js';
export { scaleTarget, type TargetScaling, targetUnitsOf, unscaleTarget } from './target-scaling.js';
export { readTraceContext, type TraceContext } from './trace-context.js';
export { hashWord } from './word-hash.js';
export type {
  AverageItem,
  Block,
  EvaluationItem,
  GradientItem,
  LeaseItem,
  WorkerItem,
  WorkItem,
} from './work-items.js';
export {
  blockKey,
  evaluationKey,
  gradientKey,
  itemId,
  itemKey,
  keyOfItemId,
  leaseKey,
  versionOf,
} from './work-items.js';
export type { Conducts, Misconduct } from './worker-conduct.js';
export { behaved, isShutOut, misbehaved } from './worker-conduct.js';
