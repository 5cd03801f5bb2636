export { type Bucket, openBucket } from './bucket.js';
export { type Term, takeTerm } from './coordinator-term.js';
export { openRunCopy, type RunCopy } from './copy-run.js';
export { type DownloadOptions, downloadObject } from './download-object.js';
export { fetchRun } from './fetch-run.js';
export type { SourceFile } from './file-pieces.js';
export type { RunManifest } from './run-manifest.js';
