/** A file in, the same rows with predictions behind them out; memory does not grow with the file. */
import type { SampleFile, TableHeader } from '#storage';
import { RopeteamError } from '#training';
import { encodeBatches } from './encode-batches.js';
import { decideAll, type Model } from './open-model.js';
import { type Decision, hasProbabilities, roundPrediction } from './predictions.js';

export interface PredictTableOptions {
  /** Takes the text of whole lines; reading waits for it. */
  write(text: string): Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Writes every row as it stands in the file (CSV for Parquet, nothing of an array, objects of JSON Lines), and behind it `predicted_<target>`, for a classifier also `p_<class>` of every
 * class (the probabilities, six digits).
 * @returns rows predicted
 * @throws RopeteamError DATA.*: rows before the one at fault have been written
 */
export async function predictTable(model: Model, file: SampleFile, options: PredictTableOptions): Promise<number> {
  const { write, signal } = options;
  const added = addedColumns(model);
  let count = 0;
  let heading: string | undefined;
  const writeHeading = async (): Promise<void> => {
    if (heading !== undefined) await write(heading);
    heading = undefined;
  };
  await encodeBatches(model, file, {
    ...(signal === undefined ? {} : { signal }),
    onHeader(header) {
      refuseTaken(file, header, added);
      if (header.form !== 'json') heading = delimited(header, header.text, added);
    },
    async onBatch({ header, rows, features }) {
      await writeHeading();
      const decisions = decideAll(model, features);
      const lines = rows.map(({ text }, index) => {
        const decision = decisions[index]!;
        return header.form === 'json'
          ? extended(text, added, valuesOf(model, decision))
          : delimited(header, text, valuesOf(model, decision).map(String));
      });
      await write(lines.join(''));
      count += rows.length;
    },
  });
  await writeHeading();
  return count;
}

function addedColumns({ trained: { spec, dataset } }: Model): readonly string[] {
  const predicted = dataset.targetNames.map((name) => `predicted_${name}`);
  return hasProbabilities(spec) ? [...predicted, ...dataset.classes.map((label) => `p_${label}`)] : predicted;
}

function valuesOf({ trained: { dataset } }: Model, decision: Decision): readonly (string | number)[] {
  if (decision.kind === 'numbers') {
    const { targets } = dataset.preprocessing;
    return Array.from(decision.values, (value, index) => roundPrediction(value, targets?.[index]));
  }
  const probabilities = Array.from(decision.probabilities ?? [], (p) => Number(p.toFixed(6)));
  return [dataset.classes[decision.index]!, ...probabilities];
}

function delimited({ form, delimiter }: TableHeader, text: string, added: readonly string[]): string {
  const cells = added.map((cell) => quoted(cell, delimiter));
  return `${(form === 'bare' ? cells : [text, ...cells]).join(delimiter)}\n`;
}

/** The line with more keys behind its own, which stay as they are written. */
function extended(text: string, names: readonly string[], values: readonly (string | number)[]): string {
  const own = text.trimEnd().slice(0, -1).trimEnd();
  const more = names.map((name, index) => `${JSON.stringify(name)}:${JSON.stringify(values[index])}`).join(',');
  return `${own}${own.endsWith('{') ? '' : ','}${more}}\n`;
}

function quoted(cell: string, delimiter: string): string {
  return /["\n\r]/.test(cell) || cell.includes(delimiter) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function refuseTaken(file: SampleFile, { names, line: at }: TableHeader, added: readonly string[]): void {
  const taken = added.find((name) => names.includes(name));
  if (taken === undefined) return;
  const message = `${file.name} has a column ${taken} already, which a prediction would be called`;
  throw new RopeteamError('DATA.COLUMN', { file: file.name, column: taken }, message, {
    place: { file: file.name, line: at },
    hint: 'rename the column, or leave it out',
  });
}
