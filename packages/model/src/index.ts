export type { ClassFindings } from './class-meter.js';
export { type Evaluation, evaluateTable } from './evaluate-table.js';
export { type ExportFormat, exportModel } from './export/export-model.js';
export type { NumberFindings, TargetFindings } from './number-meter.js';
export { loadModel, type Model, type Prediction, type Row } from './open-model.js';
export { predictTable } from './predict-table.js';
export type { CellValue } from './row-encoder.js';
