/** `ropeteam evaluate MODEL --data FILE`: how good the model is on rows whose answers are known. */
import { resolve } from 'node:path';
import { type ClassFindings, type Evaluation, evaluateTable, loadModel, type NumberFindings } from '#model';
import { type ClassReport, type DataFormat, filePathOf } from '#training';
import type { Context } from '../context.js';
import { formatCount, formatPercent, formatSignificant } from '../plain-numbers.js';
import type { Paint } from '../terminal.js';
import { alignColumns } from '../text-columns.js';

export interface EvaluateOptions {
  readonly data: string;
  readonly labels?: string;
  readonly format?: DataFormat;
  readonly json: boolean;
}

/** Classes beyond which the terminal shows no matrix; `--json` has it. */
const MOST_SHOWN_CLASSES = 20;

/** Prints the figures and returns 0. @throws RopeteamError STORAGE.CORRUPT for the model, DATA.* for the rows */
export async function evaluate(folder: string, options: EvaluateOptions, context: Context): Promise<number> {
  const { terminal, directory, interrupts } = context;
  const model = await loadModel(resolve(directory, folder));
  const format = options.format === undefined ? {} : { format: options.format };
  const named = (name: string) => ({ name, path: resolve(directory, filePathOf(name)), ...format });
  const labels = options.labels === undefined ? {} : { labels: named(options.labels) };
  const file = { ...named(options.data), ...labels };
  const evaluation = await evaluateTable(model, file, interrupts.orderly);
  const { run, weightsSha256 } = model.trained;
  if (options.json) terminal.result(JSON.stringify({ run, weightsSha256, ...evaluation }));
  else terminal.result(renderEvaluation(run, evaluation, terminal.paintResult));
  return 0;
}

export function renderEvaluation(run: string, evaluation: Evaluation, paint: Paint): string {
  const { samples, metrics, classes, numbers } = evaluation;
  const figures: readonly (readonly [string, number | undefined])[] = [
    ['loss', metrics.loss],
    ...(classes === undefined ? [] : classFigures(classes)),
    ...(numbers === undefined ? [] : numberFigures(numbers, metrics.r2)),
  ];
  const rows = figures.flatMap(([name, value]) =>
    value === undefined ? [] : [[`  ${name}`, formatSignificant(value)]],
  );
  return [
    `${paint('bold', run)} on ${formatCount(samples)} samples`,
    ...alignColumns(rows),
    ...(classes?.report === undefined ? [] : renderClasses(classes.report, paint)),
    ...(numbers === undefined || numbers.targets.length < 2 ? [] : renderTargets(numbers, paint)),
  ].join('\n');
}

function classFigures(found: ClassFindings): readonly (readonly [string, number | undefined])[] {
  return [
    ['accuracy', found.accuracy],
    ['macro precision', found.report?.macroPrecision],
    ['macro recall', found.report?.macroRecall],
    ['macro F1', found.report?.macroF1],
    ['log-loss', found.logLoss],
    ['ROC-AUC', found.rocAuc],
    ['calibration error', found.calibrationError],
  ];
}

function numberFigures(
  found: NumberFindings,
  r2: number | undefined,
): readonly (readonly [string, number | undefined])[] {
  return [
    ['r²', r2],
    ['MAE', found.meanAbsoluteError],
    ['RMSE', found.rootMeanSquaredError],
  ];
}

function renderClasses({ classes, confusion }: ClassReport, paint: Paint): readonly string[] {
  const table = [
    ['  class', 'samples', 'precision', 'recall', 'F1'],
    ...classes.map(({ label, samples, precision, recall, f1 }) => [
      `  ${label}`,
      formatCount(samples),
      ...[precision, recall, f1].map(formatPercent),
    ]),
  ];
  const [heading = '', ...rows] = alignColumns(table);
  const matrix = alignColumns([
    ['  class', ...classes.map(({ label }) => label)],
    ...confusion.map((row, index) => [`  ${classes[index]?.label ?? ''}`, ...row.map(String)]),
  ]);
  const shown = classes.length <= MOST_SHOWN_CLASSES;
  return [
    '',
    paint('dim', heading),
    ...rows,
    '',
    ...(shown
      ? [`  ${paint('dim', 'confusion: a row is what samples are, a column what they were taken for')}`, ...matrix]
      : [`  ${paint('dim', `the confusion matrix of ${classes.length} classes is in --json`)}`]),
  ];
}

function renderTargets({ targets }: NumberFindings, paint: Paint): readonly string[] {
  const [heading = '', ...rows] = alignColumns([
    ['  target', 'r²', 'MAE', 'RMSE'],
    ...targets.map(({ name, r2, meanAbsoluteError, rootMeanSquaredError }) => [
      `  ${name}`,
      r2 === undefined ? '–' : formatSignificant(r2),
      formatSignificant(meanAbsoluteError),
      formatSignificant(rootMeanSquaredError),
    ]),
  ]);
  return ['', paint('dim', heading), ...rows];
}
