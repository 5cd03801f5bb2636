/**
 * A model as ONNX, preprocessing and labels included: opset 20 of the standard operators alone, IR version 9.
 *
 * Inputs: `numbers` [batch, n] double, the number columns in their order (NaN: an empty cell), and `words` [batch, w]
 * string, the word columns (an empty or unknown word is no category); each is there where such columns are. Which column
 * is where is in the metadata as `number_columns` and `word_columns`, JSON lists of names.
 * Outputs: of a classifier `label` [batch] string, `probabilities` [batch, C] float (not for a hinge) and `scores`
 * [batch, K], the raw outputs; of a regression `prediction` [batch, K] float, or double where targets were scaled.
 */
import type { LayerSpec } from '#kernel';
import type { TrainedModel } from '#storage';
import { type ColumnEncoding, RopeteamError, type TargetScaling } from '#training';
import { buildGraph, ELEMENT, type GraphBuilder } from './onnx-graph.js';
import { encodeOnnx } from './onnx-schema.js';

/** The first with Gelu; string Equal came with 19, LayerNormalization with 17. */
const OPSET = 20;
const IR_VERSION = 9;
/** A protobuf message cannot be larger. */
const MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 20;

type NumberColumn = Extract<ColumnEncoding, { kind: 'number' }>;
type WordColumn = Extract<ColumnEncoding, { kind: 'oneHot' }>;

/** @throws RopeteamError MODEL.TOO_LARGE beyond the 2 GiB of a protobuf message, MODEL.EXPORT for a hashed column */
export function toOnnx(model: TrainedModel): Uint8Array {
  const bytes = model.weights.byteLength;
  if (bytes > MAX_WEIGHT_BYTES) {
    const message = `the weights have ${bytes} bytes, an ONNX file holds 2 GiB`;
    throw new RopeteamError('MODEL.TOO_LARGE', { bytes }, message, { hint: 'export as safetensors' });
  }
  const { columns } = model.dataset.preprocessing;
  const hashed = columns.find(({ kind }) => kind === 'hashed');
  if (hashed !== undefined) {
    const message = `column ${hashed.name} is hashed, and ONNX has no operator for the hash of a text`;
    throw new RopeteamError('MODEL.EXPORT', { format: 'onnx' }, message, {
      hint: 'export as js, which has the hash in it; or train without data.columns buckets, with categories alone',
    });
  }
  const graph = buildGraph();
  const outputs = addLayers(graph, model, addPreprocessing(graph, columns));
  addAnswers(graph, model, outputs);
  const names = (kind: ColumnEncoding['kind']): string =>
    JSON.stringify(columns.filter((column) => column.kind === kind).map(({ name }) => name));
  const metadata = {
    number_columns: names('number'),
    word_columns: names('oneHot'),
    targets: JSON.stringify(model.dataset.targetNames),
    classes: JSON.stringify(model.dataset.classes),
    weights_sha256: model.weightsSha256,
    run: model.run,
  };
  return encodeOnnx({
    ir_version: IR_VERSION,
    producer_name: 'ropeteam',
    opset_import: [{ domain: '', version: OPSET }],
    graph: graph.finish(model.run),
    metadata_props: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
}

/** From the inputs to the encoded sample [batch, F] float. */
function addPreprocessing(graph: GraphBuilder, columns: readonly ColumnEncoding[]): string {
  const numbers = columns.filter((column): column is NumberColumn => column.kind === 'number');
  const words = columns.filter((column): column is WordColumn => column.kind === 'oneHot');
  const scaled = numbers.length === 0 ? undefined : addNumbers(graph, numbers);
  if (words.length > 0) graph.input('words', 'string', words.length, words.map(({ name }) => name).join(', '));
  if (scaled !== undefined && words.length === 0) return scaled;

  // Neighbouring number columns stay together; each word column is as many features as it has categories.
  const parts: string[] = [];
  let number = 0;
  let word = 0;
  for (let at = 0; at < columns.length; ) {
    const column = columns[at]!;
    if (column.kind === 'oneHot') {
      parts.push(addCategories(graph, column, word++));
      at++;
      continue;
    }
    const first = number;
    while (columns[at]?.kind === 'number') {
      at++;
      number++;
    }
    const indexes = graph.integers(
      `columns_${first}`,
      Array.from({ length: number - first }, (_, index) => first + index),
    );
    parts.push(graph.node('Gather', [scaled!, indexes], { axis: { int: 1 } }));
  }
  return parts.length === 1 ? parts[0]! : graph.node('Concat', parts, { axis: { int: 1 } });
}

/** (value - shift) · factor in double precision, rounded once, as in training. */
function addNumbers(graph: GraphBuilder, columns: readonly NumberColumn[]): string {
  let values = graph.input('numbers', 'double', columns.length, columns.map(({ name }) => name).join(', '));
  if (columns.some(({ missing }) => missing !== undefined)) {
    // Without a value of its own an empty cell stays NaN, and so does the answer.
    const filling = graph.doubles(
      'missing',
      columns.map(({ missing }) => missing ?? Number.NaN),
    );
    values = graph.node('Where', [graph.node('IsNaN', [values]), filling, values]);
  }
  const shift = graph.doubles(
    'shift',
    columns.map((column) => column.shift),
  );
  const factor = graph.doubles(
    'factor',
    columns.map((column) => column.factor),
  );
  const scaled = graph.node('Mul', [graph.node('Sub', [values, shift]), factor]);
  return graph.node('Cast', [scaled], { to: { int: 1 } });
}

function addCategories(graph: GraphBuilder, { categories }: WordColumn, index: number): string {
  const cells = graph.node('Gather', ['words', graph.integers(`word_${index}`, [index])], { axis: { int: 1 } });
  const known = graph.strings(`categories_${index}`, [1, categories.length], categories);
  return graph.node('Cast', [graph.node('Equal', [cells, known])], { to: { int: 1 } });
}

/** From the encoded sample to the raw outputs [batch, K]. */
function addLayers(graph: GraphBuilder, { spec, parameters, weights }: TrainedModel, features: string): string {
  for (const { name, shape, offset, size } of parameters) {
    graph.floats(name, shape, weights.slice(offset, offset + size)); // a copy: the bytes start at 0
  }
  return spec.layers.reduce((input, layer, index) => addLayer(graph, layer, `layers.${index}`, input), features);
}

function addLayer(graph: GraphBuilder, layer: LayerSpec, name: string, input: string): string {
  switch (layer.kind) {
    case 'dense':
      return graph.node('Gemm', [input, `${name}.weight`, `${name}.bias`], { transB: { int: 1 } });
    case 'relu':
      return graph.node('Relu', [input]);
    case 'leakyRelu':
      return graph.node('LeakyRelu', [input], { alpha: { float: layer.slope } });
    case 'gelu':
      return graph.node('Gelu', [input]);
    case 'sigmoid':
      return graph.node('Sigmoid', [input]);
    case 'tanh':
      return graph.node('Tanh', [input]);
    case 'softmax':
      return graph.node('Softmax', [input], { axis: { int: -1 } });
    case 'layerNorm': {
      const attributes = { axis: { int: -1 }, epsilon: { float: layer.epsilon } };
      return graph.node('LayerNormalization', [input, `${name}.weight`, `${name}.bias`], attributes);
    }
    case 'dropout':
      return input; // it acts in training alone
    default:
      return layer satisfies never;
  }
}

function addAnswers(graph: GraphBuilder, { spec, dataset }: TrainedModel, outputs: string): void {
  const K = spec.outputs;
  if (dataset.task === 'regression') {
    addPrediction(graph, dataset.preprocessing.targets, outputs, K);
    return;
  }
  const C = dataset.classes.length;
  const labels = graph.strings('classes', [C], dataset.classes);
  graph.node('Gather', [labels, addClassIndex(graph, K, outputs)], { axis: { int: 0 } }, 'label');
  graph.output('label', 'string');
  if (spec.loss.kind === 'binaryCrossEntropy') {
    const second = graph.node('Sigmoid', [outputs]);
    const one = graph.floats('one', [1], Float32Array.of(1));
    graph.node('Concat', [graph.node('Sub', [one, second]), second], { axis: { int: 1 } }, 'probabilities');
    graph.output('probabilities', 'float', C);
  } else if (spec.loss.kind === 'softmaxCrossEntropy') {
    graph.node('Softmax', [outputs], { axis: { int: -1 } }, 'probabilities');
    graph.output('probabilities', 'float', C);
  }
  graph.node('Identity', [outputs], {}, 'scores');
  graph.output('scores', 'float', K);
}

/** Scaled targets go back to their units in double precision: some lie so far from 0 that a float would lose them. */
function addPrediction(
  graph: GraphBuilder,
  targets: readonly TargetScaling[] | undefined,
  outputs: string,
  K: number,
): void {
  if (targets === undefined) {
    graph.node('Identity', [outputs], {}, 'prediction');
    graph.output('prediction', 'float', K);
    return;
  }
  const wide = graph.node('Cast', [outputs], { to: { int: ELEMENT.double } });
  const factors = graph.doubles(
    'target_factor',
    targets.map(({ factor }) => factor),
  );
  const shifts = graph.doubles(
    'target_shift',
    targets.map(({ shift }) => shift),
  );
  graph.node('Add', [graph.node('Div', [wide, factors]), shifts], {}, 'prediction');
  graph.output('prediction', 'double', K);
}

/** [batch] int64: the first of the largest outputs; with one output, 1 where it is above 0. */
function addClassIndex(graph: GraphBuilder, K: number, outputs: string): string {
  if (K > 1) return graph.node('ArgMax', [outputs], { axis: { int: 1 }, keepdims: { int: 0 } });
  const isSecond = graph.node('Greater', [outputs, graph.floats('zero', [1], Float32Array.of(0))]);
  const index = graph.node('Cast', [isSecond], { to: { int: 7 } });
  return graph.node('Squeeze', [index, graph.integers('second_axis', [1])]);
}
