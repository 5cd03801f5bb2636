/** Which rows of a table can be samples. */
import { setImmediate } from 'node:timers/promises';
import type { DataSpec } from '#training';
import { explainNotANumber } from './cell.js';
import type { FeatureKind, TargetKind } from './column-kinds.js';
import type { EncodedTable } from './encode-table.js';
import type { LoadedTable } from './load-table.js';
import type { Problem, Problems } from './problems.js';
import { UNUSABLE } from './table.js';

const CELLS_A_TURN = 1 << 18;

export interface VettedRows {
  /** Rows that are samples, ascending. */
  readonly rows: Uint32Array;
  /** Rows with a cell that cannot be used. */
  readonly badRows: number;
  /** Rows left out for a missing value, as `missing: drop` asks. */
  readonly droppedRows: number;
}

/** Looks at every cell of an encoded table; what is wrong goes to `problems`. */
export async function vetRows(
  loaded: LoadedTable,
  encoded: EncodedTable,
  features: readonly FeatureKind[],
  target: TargetKind,
  missing: DataSpec['missing'],
  problems: Problems,
): Promise<VettedRows> {
  const { table } = encoded;
  const width = table.columns.length;
  const turn = Math.max(1, Math.floor(CELLS_A_TURN / width));
  const rows = new Uint32Array(table.rows);
  let kept = 0;
  let badRows = 0;
  let droppedRows = 0;

  for (let row = 0; row < table.rows; row++) {
    let bad = false;
    let drop = false;
    for (let position = 0; position < width; position++) {
      const value = table.cell(row, position);
      if (value < UNUSABLE) continue; // neither missing (NaN) nor unusable
      const isTarget = position >= features.length;
      if (Number.isNaN(value)) {
        if (missing === 'drop') drop = true;
        else if (isTarget || missing === 'error') bad = true;
        else continue;
        if (!drop) problems.add(missingProblem(loaded, row, position, isTarget));
      } else {
        bad = true;
        problems.add(unusableProblem(loaded, row, position, encoded.strayText(row, position), features, target));
      }
    }
    if (bad) badRows++;
    else if (drop) droppedRows++;
    else rows[kept++] = row;
    if (row % turn === turn - 1) await setImmediate();
  }
  return { rows: rows.slice(0, kept), badRows, droppedRows };
}

function missingProblem(loaded: LoadedTable, row: number, position: number, isTarget: boolean): Problem {
  return {
    ...placeOf(loaded, row, position),
    code: isTarget ? 'DATA.LABEL' : 'DATA.CELL',
    reason: isTarget ? 'the target is missing' : 'the value is missing',
    hint: isTarget
      ? 'fill it in, or set data.missing to "drop" or data.badRows to "skip"'
      : 'fill it in, or set data.missing to "mean", "zero" or "drop"',
  };
}

function unusableProblem(
  loaded: LoadedTable,
  row: number,
  position: number,
  text: string | undefined,
  features: readonly FeatureKind[],
  target: TargetKind,
): Problem {
  const place = placeOf(loaded, row, position);
  const feature = features[position];
  const shown = text === undefined ? 'the cell' : JSON.stringify(text);
  if (feature?.kind === 'words') {
    const reason = `${shown} does not occur in the training data; known there: ${listed(feature.categories)}`;
    return { ...place, code: 'DATA.CELL', reason, hint: 'correct the cell, or set data.badRows to "skip"' };
  }
  if (feature === undefined && target.kind === 'classification') {
    const fraction =
      target.numeric && text !== undefined && Number.isFinite(Number(text)) && !Number.isInteger(Number(text));
    const reason = fraction
      ? `label ${text} is a fraction; labels are whole numbers or words`
      : `label ${shown} is not a class of the training data; classes there: ${listed(target.classes)}`;
    const hint = fraction
      ? 'correct the label, or set data.task to regression'
      : 'correct the label, or set data.badRows to "skip"';
    return { ...place, code: 'DATA.LABEL', reason, hint };
  }
  const explained =
    text === undefined ? { reason: 'the cell is not a number', hint: 'correct the cell' } : explainNotANumber(text);
  return { ...place, code: feature === undefined ? 'DATA.LABEL' : 'DATA.CELL', ...explained };
}

function placeOf({ table, columns, labelsFile, ...loaded }: LoadedTable, row: number, position: number) {
  const { name, index } = table.columns[position]!.column;
  const file = position < columns.features.length ? loaded.fileOf(row) : (labelsFile ?? loaded.fileOf(row));
  return { file, line: table.line(row), cell: { name, index } };
}

function listed(names: readonly string[]): string {
  return names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')}, … (${names.length})`;
}
