/** `import { loadModel, train } from 'ropeteam'`: what programs use. The command line is made of the same parts. */
export type { CellValue, Model, Prediction, Row } from '#model';
export { loadModel } from '#model';
export type { ErrorCode, Metrics, RunEvent } from '#training';
export { RopeteamError } from '#training';
export { type TrainedRun, type Training, type TrainSettings, train } from './train.js';
