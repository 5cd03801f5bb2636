/** How good a model is on a file with the answers in it. Memory is bounded, but for the scores of the ROC curve. */
import { addLossSums, type LossSums } from '#kernel';
import type { SampleFile } from '#storage';
import { type Metrics, metricsOf, RopeteamError, targetUnitsOf } from '#training';
import { type ClassFindings, createClassMeter } from './class-meter.js';
import { cellError, columnPositions, encodeBatches } from './encode-batches.js';
import { createNumberMeter, type NumberFindings } from './number-meter.js';
import type { Model } from './open-model.js';
import { decide } from './predictions.js';
import { createTargetEncoder } from './target-encoder.js';

export interface Evaluation {
  readonly samples: number;
  /** As an epoch's validation is told: loss, and accuracy or r². */
  readonly metrics: Metrics;
  readonly classes?: ClassFindings;
  readonly numbers?: NumberFindings;
}

/** @throws RopeteamError DATA.* with file, line and column; DATA.TOO_FEW for a file without a row */
export async function evaluateTable(model: Model, file: SampleFile, signal?: AbortSignal): Promise<Evaluation> {
  const { spec, dataset } = model.trained;
  const { targetNames, classes, targetCount, task, preprocessing } = dataset;
  const encodeTargets = createTargetEncoder(targetNames, classes, preprocessing.targets);
  const classMeter = task === 'classification' ? createClassMeter(classes) : undefined;
  const numberMeter = task === 'regression' ? createNumberMeter(targetNames, targetUnitsOf(preprocessing)) : undefined;
  let total: LossSums | undefined;
  await encodeBatches(model, file, {
    alsoNeeded: targetNames,
    ...(signal === undefined ? {} : { signal }),
    onBatch({ header, rows, features }) {
      const positions = columnPositions(file, header, targetNames);
      const targets = new Float32Array(rows.length * targetCount);
      for (const [index, row] of rows.entries()) {
        const cells = positions.map((position) => row.cells[position]);
        const problem = encodeTargets(cells, targets, index * targetCount);
        if (problem !== undefined) throw cellError(file, row, problem);
      }
      const { outputs, sums } = model.forward.evaluate(features, targets);
      total = total === undefined ? sums : addLossSums(total, sums);
      for (let sample = 0; sample < rows.length; sample++) {
        const own = outputs.subarray(sample * spec.outputs, (sample + 1) * spec.outputs);
        numberMeter?.add(own, targets, sample * targetCount);
        if (classMeter === undefined) continue;
        const decision = decide(spec, own);
        if (decision.kind === 'class') classMeter.add(decision, targets[sample]!);
      }
    },
  });
  if (total === undefined) {
    throw new RopeteamError('DATA.TOO_FEW', { samples: 0 }, `${file.name} has a header and no row below it`, {
      place: { file: file.name },
      hint: 'write one line a sample',
    });
  }
  return {
    samples: total.sampleCount,
    metrics: metricsOf(total, task, targetCount),
    ...(classMeter === undefined ? {} : { classes: classMeter.result() }),
    ...(numberMeter === undefined ? {} : { numbers: numberMeter.result() }),
  };
}
