export { classWeightsByLabel } from './class-weights.js';
export { parseDuration } from './duration.js';
export { type FirstJob, firstJobText, jobNameFrom, settingsFor } from './first-job.js';
export { type ErrorFormat, formatError } from './format-error.js';
export { formatJob } from './format-job.js';
export { jobJsonSchema, jobJsonSchemaText } from './json-schema.js';
export { modelTooLarge } from './model-size.js';
export { type ObjectStoreSettings, objectStoreSettings } from './object-store-settings.js';
export { parseJob } from './parse-job.js';
export { type JobFileText, readJobFile } from './read-job-file.js';
export { type ModelData, resolveModel } from './resolve-model.js';
export {
  byteCount,
  type Door,
  hostOf,
  isLeftOpen,
  isLoopback,
  isOn,
  isRedisLeftOpen,
  oneOf,
  oneOfEither,
  redisUrlFrom,
  TLS_CLOSES,
  TOKENS_CLOSE,
  wholeNumber,
} from './service-settings.js';
export { nearest } from './suggest.js';
