export { createLogger, LOG_LEVELS, type LogFields, type Logger, type LoggerOptions, type LogLevel } from './logger.js';
export {
  type Build,
  type CommittedStep,
  type ComputedBlock,
  type CoordinatorMetrics,
  createCoordinatorMetrics,
  createWorkerMetrics,
  type GradientOutcome,
  type LossReason,
  type MetricsRegistry,
  type WireByteSource,
  type WorkerMetrics,
} from './metrics.js';
export { type MetricsServer, type MetricsServerOptions, type Page, startMetricsServer } from './metrics-server.js';
export { packageVersion } from './package-version.js';
export { endWithFailure } from './report-failure.js';
