/** Targets of a regression that are trained on in units of their own, and the way back. Double precision, rounded by who stores. */
import type { Preprocessing } from './dataset.js';

/** Fitted on the training split. Trained on is (target - shift) · factor; what a model says stands for output / factor + shift. */
export interface TargetScaling {
  /** In units of the target. */
  readonly shift: number;
  /** Per unit of the target; finite and above 0. */
  readonly factor: number;
}

export function scaleTarget({ shift, factor }: TargetScaling, target: number): number {
  return (target - shift) * factor;
}

export function unscaleTarget({ shift, factor }: TargetScaling, output: number): number {
  return output / factor + shift;
}

/** How much of each target an error of 1 in its output is; undefined where targets are as they are in the data. */
export function targetUnitsOf({ targets }: Pick<Preprocessing, 'targets'>): readonly number[] | undefined {
  return targets?.map(({ factor }) => 1 / factor);
}
