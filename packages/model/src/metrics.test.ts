import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createClassMeter } from './class-meter.js';
import { createNumberMeter } from './number-meter.js';
import { rocAuc } from './roc-auc.js';

/** The definition: pairs won, ties counted half. */
function areaByPairs(scores: readonly number[], positive: readonly boolean[]): number | undefined {
  let pairs = 0;
  let won = 0;
  for (const [i, left] of scores.entries()) {
    for (const [j, right] of scores.entries()) {
      if (!positive[i] || positive[j]) continue;
      pairs++;
      won += left > right ? 1 : left === right ? 0.5 : 0;
    }
  }
  return pairs === 0 ? undefined : won / pairs;
}

test('the area under the curve is the share of pairs in the right order, ties counted half', () => {
  const scored = fc.array(fc.tuple(fc.integer({ min: -4, max: 4 }), fc.boolean()), { maxLength: 40 });
  fc.assert(
    fc.property(scored, (pairs) => {
      const scores = pairs.map(([score]) => score);
      const positive = pairs.map(([, is]) => is);
      const expected = areaByPairs(scores, positive);
      const found = rocAuc(Float64Array.from(scores), Uint8Array.from(positive, Number));
      if (expected === undefined) expect(found).toBeUndefined();
      else expect(found).toBeCloseTo(expected, 12);
    }),
  );
});

function decision(probabilities: readonly number[]) {
  const index = probabilities.indexOf(Math.max(...probabilities));
  return {
    kind: 'class',
    index,
    probabilities: Float64Array.from(probabilities),
    scores: Float32Array.from(probabilities, Math.log),
  } as const;
}

test('a classifier has the figures worked out by hand', () => {
  const meter = createClassMeter(['a', 'b', 'c']);
  meter.add(decision([0.7, 0.2, 0.1]), 0);
  meter.add(decision([0.6, 0.3, 0.1]), 1);
  meter.add(decision([0.1, 0.8, 0.1]), 1);
  meter.add(decision([0.3, 0.5, 0.2]), 0);
  const found = meter.result();
  expect(found.accuracy).toBe(0.5);
  expect(found.logLoss).toBeCloseTo(-(Math.log(0.7) + Math.log(0.3) + Math.log(0.8) + Math.log(0.3)) / 4, 12);
  // Four bins with a sample each: confidence 0.7, 0.6, 0.8, 0.5, right, wrong, right, wrong.
  expect(found.calibrationError).toBeCloseTo((0.3 + 0.6 + 0.2 + 0.5) / 4, 12);
  // a: 3 of 4 pairs; b: 3 of 4 pairs; c: nobody is one.
  expect(found.rocAuc).toBeCloseTo((0.75 + 0.75) / 2, 12);
  const { report } = found;
  expect(report?.confusion).toEqual([
    [1, 1, 0],
    [1, 1, 0],
    [0, 0, 0],
  ]);
  expect(report?.macroF1).toBe(0.5); // c occurs nowhere and does not count
  expect(report?.classes[2]).toEqual({ label: 'c', samples: 0, precision: 0, recall: 0, f1: 0 });
});

test('a hinge has no figures of probabilities', () => {
  const meter = createClassMeter(['no', 'yes']);
  meter.add({ kind: 'class', index: 1, scores: Float32Array.of(0.5) }, 1);
  meter.add({ kind: 'class', index: 0, scores: Float32Array.of(-0.5) }, 0);
  const { logLoss, calibrationError, rocAuc: area } = meter.result();
  expect([logLoss, calibrationError, area]).toEqual([undefined, undefined, 1]);
});

test('targets far from zero keep the digits of r²', () => {
  const meter = createNumberMeter(['t', 'constant']);
  const base = 2 ** 20;
  const targets = [0, 1, 2, 3].map((value) => Float32Array.of(base + value, 7));
  for (const each of targets) meter.add(Float32Array.of(each[0]! + 0.5, 8), each, 0);
  const { targets: found, meanAbsoluteError, rootMeanSquaredError } = meter.result();
  expect(found[0]).toEqual({ name: 't', meanAbsoluteError: 0.5, rootMeanSquaredError: 0.5, r2: 1 - 1 / 5 });
  expect(found[1]).toEqual({ name: 'constant', meanAbsoluteError: 1, rootMeanSquaredError: 1 });
  expect([meanAbsoluteError, rootMeanSquaredError]).toEqual([0.75, Math.sqrt(0.625)]);
});
