export {
  type BegunRun,
  type CommittedStep,
  type CoordinatorMetrics,
  createCoordinatorMetrics,
  type GradientOutcome,
  type ItemFailure,
  type LossReason,
  type QueueCall,
  type WireByteSource,
  type WorkerSource,
  type WorkerState,
} from './coordinator-metrics.js';
export { type HttpTokens, readHttpTokens, TOKEN_ROLES } from './http-access.js';
export { createLogger, LOG_LEVELS, type LogFields, type Logger, type LoggerOptions, type LogLevel } from './logger.js';
export {
  type Found,
  type MetricsServer,
  type MetricsServerOptions,
  type Page,
  type Route,
  type StreamedEvent,
  startMetricsServer,
} from './metrics-server.js';
export { packageVersion } from './package-version.js';
export type { Build, MetricsRegistry } from './registry.js';
export { endOnUnforeseen, endWithFailure, knownError } from './report-failure.js';
export { sufferFailpoint } from './suffer-failpoint.js';
export { inSpan, SPAN_NAMES, type Span, type SpanFacts, startSpan } from './tracing.js';
export { type ComputedBlock, type ComputedLease, createWorkerMetrics, type WorkerMetrics } from './worker-metrics.js';
