export { limitReached } from './limit-errors.js';
export { LEAST_OPEN_FILES, type ProcessLimits, readProcessLimits } from './process-limits.js';
export { startWithinLimits } from './start-within-limits.js';
