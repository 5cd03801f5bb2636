/** A CSV file in, the same rows with predictions behind them out; memory does not grow with the file. */
import type { SourceFile, TableHeader } from '#storage';
import { RopeteamError } from '#training';
import { encodeBatches } from './encode-batches.js';
import { decideAll, type Model } from './open-model.js';
import { type Decision, hasProbabilities } from './predictions.js';

export interface PredictTableOptions {
  /** Takes the text of whole lines; reading waits for it. */
  write(text: string): Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Writes every row as it stands in the file, and behind it `predicted_<target>`, for a classifier also `p_<class>` of every
 * class (the probabilities, six digits).
 * @returns rows predicted
 * @throws RopeteamError DATA.*: rows before the one at fault have been written
 */
export async function predictTable(model: Model, file: SourceFile, options: PredictTableOptions): Promise<number> {
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
      heading = line(header.text, added, header.delimiter);
    },
    async onBatch({ header: { delimiter }, rows, features }) {
      await writeHeading();
      const decisions = decideAll(model, features);
      await write(rows.map(({ text }, index) => line(text, cellsOf(model, decisions[index]!), delimiter)).join(''));
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

function cellsOf({ trained: { dataset } }: Model, decision: Decision): readonly string[] {
  // Seven digits tell any two float32 of the same size apart that differ by more than rounding.
  if (decision.kind === 'numbers') return Array.from(decision.values, (value) => String(Number(value.toPrecision(7))));
  const probabilities = Array.from(decision.probabilities ?? [], (p) => String(Number(p.toFixed(6))));
  return [dataset.classes[decision.index]!, ...probabilities];
}

function line(text: string, added: readonly string[], delimiter: string): string {
  return `${[text, ...added.map((cell) => quoted(cell, delimiter))].join(delimiter)}\n`;
}

function quoted(cell: string, delimiter: string): string {
  return /["\n\r]/.test(cell) || cell.includes(delimiter) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function refuseTaken(file: SourceFile, { names, line: at }: TableHeader, added: readonly string[]): void {
  const taken = added.find((name) => names.includes(name));
  if (taken === undefined) return;
  const message = `${file.name} has a column ${taken} already, which a prediction would be called`;
  throw new RopeteamError('DATA.COLUMN', { file: file.name, column: taken }, message, {
    place: { file: file.name, line: at },
    hint: 'rename the column, or leave it out',
  });
}
