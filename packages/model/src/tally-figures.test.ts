/** What workers count and what `evaluate` works out from every score must be the same figures. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ModelSpec, tallyLayout, tallySamples } from '#kernel';
import { fence, figuresOf, runId, step, workerId } from '#training';
import { createClassMeter } from './class-meter.js';
import { createNumberMeter } from './number-meter.js';
import { decide } from './predictions.js';

const classifier = (kind: 'binaryCrossEntropy' | 'softmaxCrossEntropy' | 'hinge', outputs: number): ModelSpec => ({
  inputs: 1,
  outputs,
  layers: [{ kind: 'dense', units: outputs }],
  loss: { kind },
  init: 'zeros',
});

/** One receipt for each run of `size` samples. */
function receiptsOf(
  spec: ModelSpec,
  outputs: Float32Array,
  targets: Float32Array,
  size: number,
  units?: readonly number[],
) {
  const layout = tallyLayout(spec, units);
  const targetCount = layout.classes === 0 ? spec.outputs : 1;
  const samples = targets.length / targetCount;
  return Array.from({ length: Math.ceil(samples / size) }, (_, part) => {
    const [begin, end] = [part * size, Math.min(samples, (part + 1) * size)];
    const counts = new Map<number, number>();
    const of = outputs.subarray(begin * spec.outputs, end * spec.outputs);
    const labels = targets.subarray(begin * targetCount, end * targetCount);
    const sums = tallySamples(layout, of, labels, (cell, by) => counts.set(cell, (counts.get(cell) ?? 0) + by));
    const squared = of.reduce((sum, value, index) => sum + (value - labels[index]!) ** 2, 0);
    return {
      ...{
        run: runId('r'),
        fence: fence(1),
        version: step(1),
        split: 'validation' as const,
        part,
        worker: workerId('w'),
      },
      ...{ sampleCount: end - begin, lossSum: 0, correctCount: 0, targetSum: 0, targetSquareSum: 0 },
      squaredErrorSum: layout.classes === 0 ? squared : 0,
      tally: { cells: [...counts.keys()], counts: [...counts.values()], ...sums },
    } as const;
  });
}

const logits = (count: number) =>
  fc.array(
    fc.integer({ min: -60, max: 60 }).map((quarters) => quarters / 4),
    { minLength: count, maxLength: count },
  );

test.each([
  ['binaryCrossEntropy', 1],
  ['softmaxCrossEntropy', 2],
  ['softmaxCrossEntropy', 5],
  ['hinge', 1],
  ['hinge', 4],
] as const)('%s with %i outputs: counts of any cut give the figures of all scores', (kind, K) => {
  const spec = classifier(kind, K);
  const layout = tallyLayout(spec);
  const labels = Array.from({ length: layout.classes }, (_, index) => `c${index}`);
  const cases = fc
    .integer({ min: 1, max: 60 })
    .chain((samples) =>
      fc.tuple(
        logits(samples * K),
        fc.array(fc.integer({ min: 0, max: layout.classes - 1 }), { minLength: samples, maxLength: samples }),
        fc.integer({ min: 1, max: samples }),
      ),
    );
  fc.assert(
    fc.property(cases, ([scores, classes, size]) => {
      const outputs = Float32Array.from(scores);
      const targets = Float32Array.from(classes);
      const ground = { task: 'classification', targetCount: 1, outputs: { layout, labels } } as const;
      const found = figuresOf(receiptsOf(spec, outputs, targets, size), ground);
      const meter = createClassMeter(labels);
      for (const [sample, actual] of classes.entries()) {
        const decision = decide(spec, outputs.subarray(sample * K, (sample + 1) * K));
        if (decision.kind === 'class') meter.add(decision, actual);
      }
      const { report, rocAuc, logLoss, calibrationError } = meter.result();
      expect(found.confusion).toEqual(report?.confusion);
      expect(found.classes).toEqual(report?.classes);
      expect(found.macroF1).toBe(report?.macroF1);
      expect(found.rocAuc === undefined).toBe(rocAuc === undefined);
      // Scores of two or more that are this far apart are told apart; odds of several classes may come closer.
      const apart = layout.columns === 1 || kind === 'hinge';
      if (apart) expect(found.rocAuc ?? 0).toBeCloseTo(rocAuc ?? 0, 12);
      expect(Math.abs((found.logLoss ?? 0) - (logLoss ?? 0))).toBeLessThan(1e-5);
      // A confidence on the edge of two bins may fall to the other one for its last bit.
      if (calibrationError !== undefined) expect(found.calibrationError).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 100 },
  );
});

test('the area under the curve of many scores differs from the exact one in the fourth digit at most', () => {
  const spec = classifier('binaryCrossEntropy', 1);
  const samples = 20_000;
  // A generator of its own: the figures are those of these samples and no others.
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const targets = Float32Array.from({ length: samples }, () => (random() < 0.2 ? 1 : 0));
  const outputs = targets.map((label) => label + 4 * (random() - 0.7));
  const meter = createClassMeter(['no', 'yes']);
  for (const [sample, label] of targets.entries()) {
    const decision = decide(spec, outputs.subarray(sample, sample + 1));
    if (decision.kind === 'class') meter.add(decision, label);
  }
  const ground = {
    task: 'classification',
    targetCount: 1,
    outputs: { layout: tallyLayout(spec), labels: ['no', 'yes'] },
  } as const;
  const found = figuresOf(receiptsOf(spec, outputs, targets, 4096), ground);
  const exact = meter.result();
  expect(found.rocAuc).toBeCloseTo(exact.rocAuc ?? Number.NaN, 4);
  expect(found.calibrationError).toBeCloseTo(exact.calibrationError ?? Number.NaN, 3);
  expect(found.logLoss).toBeCloseTo(exact.logLoss ?? Number.NaN, 6);
});

const TWO_NUMBERS: ModelSpec = {
  ...{ inputs: 1, outputs: 2, layers: [{ kind: 'dense', units: 2 }] },
  ...{ loss: { kind: 'meanSquaredError' }, init: 'zeros' },
};

test.each([
  ['errors of numbers are those of all outputs', undefined],
  ['errors of scaled targets are in the units of the data, each in its own', [1_000, 0.5]],
])('%s', (_, units) => {
  const outputs = Float32Array.of(1, 2, 3, 4, 5, 6);
  const targets = Float32Array.of(2, 2, 0, 4, 5, 9);
  const outputGround = { layout: tallyLayout(TWO_NUMBERS, units), labels: [] };
  const ground = { task: 'regression', targetCount: 2, outputs: outputGround } as const;
  const found = figuresOf(receiptsOf(TWO_NUMBERS, outputs, targets, 2, units), ground);
  const meter = createNumberMeter(['a', 'b'], units);
  for (let sample = 0; sample < 3; sample++) meter.add(outputs.subarray(2 * sample), targets, 2 * sample);
  const { meanAbsoluteError, rootMeanSquaredError } = meter.result();
  expect(found).toMatchObject({ meanAbsoluteError, rootMeanSquaredError });
  const [a, b] = units ?? [1, 1];
  expect(meanAbsoluteError).toBeCloseTo((a! * (1 + 3 + 0) + b! * (0 + 0 + 3)) / 6, 9);
  expect(rootMeanSquaredError).toBeCloseTo(Math.sqrt((a! ** 2 * (1 + 9 + 0) + b! ** 2 * 9) / 6), 9);
});
