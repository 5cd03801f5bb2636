/** A model as JSON that people and any language can read: what `model.json` says, and the numbers. */
import type { TrainedModel } from '#storage';

/** Format `ropeteam-model-json/1`: weights as nested lists by tensor, each number in the fewest digits that give its float32. */
export function toJson(model: TrainedModel): string {
  const { spec, parameters, weights, dataset } = model;
  const tensors = parameters.map(({ name, shape, offset, size }) => {
    const rows = nested(shape, weights.subarray(offset, offset + size));
    return `    ${JSON.stringify(name)}: {\n      "shape": ${JSON.stringify(shape)},\n      "values": ${rows}\n    }`;
  });
  const description = {
    format: 'ropeteam-model-json/1',
    run: model.run,
    task: dataset.task,
    targetNames: dataset.targetNames,
    classes: dataset.classes,
    architecture: spec,
    preprocessing: dataset.preprocessing,
    metrics: model.metrics,
    weightsSha256: model.weightsSha256,
  };
  const head = JSON.stringify(description, undefined, 2).replace(/\n\}$/, '');
  return `${head},\n  "parameters": {\n${tensors.join(',\n')}\n  }\n}\n`;
}

/** One line a row of a matrix, one line for a vector. */
function nested([length = 0, width]: readonly number[], values: Float32Array): string {
  const list = (some: Float32Array): string => `[${Array.from(some, shortest).join(', ')}]`;
  if (width === undefined) return list(values);
  const rows = Array.from({ length }, (_, row) => `        ${list(values.subarray(row * width, (row + 1) * width))}`);
  return `[\n${rows.join(',\n')}\n      ]`;
}

/** The shortest decimal that reads back as this float32: nine digits always do. Not finite: null, as JSON has it. */
function shortest(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}
