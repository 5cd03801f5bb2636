/** The `data` of a job as tests of preparing need it. */
import type { DataSpec } from '#training';

/** A regression on `data.csv` in which nothing is held back, scaled or forgiven. */
export function dataSpec(changes: Partial<DataSpec> = {}): DataSpec {
  return {
    source: 'data.csv',
    delimiter: 'auto',
    target: ['y'],
    task: 'regression',
    features: 'all',
    scale: 'none',
    scaleTarget: 'none',
    split: { validation: { kind: 'fraction', fraction: 0 }, test: { kind: 'fraction', fraction: 0 } },
    badRows: 'error',
    maxBadRows: 0,
    missing: 'error',
    maxCategories: 64,
    ...changes,
  };
}
