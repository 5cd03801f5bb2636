/** Numbers to predict that no network starts near. */
import { setImmediate } from 'node:timers/promises';
import type { DatasetReading } from './dataset-reading.js';

/** Outputs start around 0 and go by steps of the learning rate: farther away targets need scaling. */
export const FAR_TARGET = 1_000;
const CELLS_A_TURN = 1 << 18;

/** A warning for each target of a regression that goes beyond `FAR_TARGET` in these rows. */
export async function farTargets(
  { target, features, source: { loaded } }: DatasetReading,
  rows: Uint32Array,
): Promise<readonly string[]> {
  if (target.kind !== 'regression') return [];
  const warnings: string[] = [];
  for (const [index, { name }] of loaded.columns.targets.entries()) {
    let most = 0;
    for (let at = 0; at < rows.length; at++) {
      if (at % CELLS_A_TURN === 0) await setImmediate();
      most = Math.max(most, Math.abs(loaded.table.cell(rows[at]!, features.length + index)));
    }
    if (most <= FAR_TARGET) continue;
    const reach = Number(most.toPrecision(3)).toLocaleString('en');
    warnings.push(
      `${name} goes up to ${reach} and is not scaled: training starts near 0 and may get nowhere; set data.scaleTarget: standard`,
    );
  }
  return warnings;
}
