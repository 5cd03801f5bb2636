export { type DownloadOptions, downloadObject } from './download-object.js';
