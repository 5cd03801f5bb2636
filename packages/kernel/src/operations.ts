import { COLUMN_BLOCK, DEPTH_BLOCK, FUSED_TILE_ROWS, PLAIN_TILE_ROWS, ROW_BLOCK, TILE_COLUMNS } from './tile-sizes.js';

/** Those whose derivative follows from their output: they need no memory of their own behind a dense layer. */
export type Activation = 'none' | 'relu' | 'leakyRelu' | 'sigmoid' | 'tanh';

/** Y = activation(X · Wᵀ + b): X [B, inputs], W [width, inputs], b [width], Y [B, width]. Offsets in floats. */
export interface DenseOperation {
  readonly kind: 'dense';
  readonly inputs: number;
  readonly width: number;
  readonly weightOffset: number;
  readonly biasOffset: number;
  readonly activation: Activation;
  /** Of a leaky relu, else 0. */
  readonly slope: number;
}

/** An activation with no dense layer right before it: Y = activation(X), both [B, width]. */
export interface ActivationOperation {
  readonly kind: 'activation';
  readonly width: number;
  readonly activation: Exclude<Activation, 'none'>;
  readonly slope: number;
}

/** Y = gelu(X) or softmax(X) by rows, both [B, width]. */
export interface RowwiseOperation {
  readonly kind: 'gelu' | 'softmax';
  readonly width: number;
}

/** In a gradient Y = X · mask / (1 - rate), both [B, width]; in an evaluation it is not there. */
export interface DropoutOperation {
  readonly kind: 'dropout';
  readonly width: number;
  readonly rate: number;
  /** Index among the model's layers: part of what the mask follows from. */
  readonly layer: number;
}

/** Y = weight · (X - mean) / sqrt(variance + epsilon) + bias by rows, X and Y [B, width], weight and bias [width]. */
export interface LayerNormOperation {
  readonly kind: 'layerNorm';
  readonly width: number;
  readonly weightOffset: number;
  readonly biasOffset: number;
  readonly epsilon: number;
}

export type Operation = DenseOperation | ActivationOperation | RowwiseOperation | DropoutOperation | LayerNormOperation;

/** Byte offsets into one thread's scratch memory, each a multiple of 64. */
export interface ScratchLayout {
  /** [B, width] of each operation: kept from the forward pass for the backward pass. */
  readonly outputs: readonly number[];
  /** [B, 2] of each layerNorm, nothing of the others: mean and 1 / deviation of each row. */
  readonly statistics: readonly number[];
  /** Two [B, widest]: the gradient with respect to one operation's output, and the next one being made from it. */
  readonly gradients: readonly [number, number];
  /** Where the losses leave their sums. */
  readonly sums: number;
  /** Packed operands of the matrix product. */
  readonly packing: number;
  readonly bytes: number;
}

/** Float64s at `ScratchLayout.sums`: loss, correct count, squared error, target, squared target. */
export const SUMS_COUNT = 5;

/** Where everything a micro-batch of `samples` needs lies in scratch memory. */
export function scratchLayout(operations: readonly Operation[], samples: number): ScratchLayout {
  let bytes = 0;
  const take = (size: number): number => {
    const offset = bytes;
    bytes += Math.ceil(size / 64) * 64;
    return offset;
  };
  const outputs = operations.map((operation) => take(4 * samples * operation.width));
  const statistics = operations.map(({ kind }) => take(kind === 'layerNorm' ? 8 * samples : 0));
  const widest = operations.reduce((most, operation) => Math.max(most, operation.width), 0);
  const gradients = [take(4 * samples * widest), take(4 * samples * widest)] as const;
  const sums = take(8 * SUMS_COUNT);
  const packing = take(operations.reduce((most, operation) => Math.max(most, packingBytesOf(operation, samples)), 0));
  return { outputs, statistics, gradients, sums, packing, bytes };
}

/** The largest of the three products of a layer: Y = X · Wᵀ, dW = dYᵀ · X, dX = dY · W. */
function packingBytesOf(operation: Operation, samples: number): number {
  if (operation.kind !== 'dense') return 0;
  const { inputs, width } = operation;
  return Math.max(
    packingBytes(samples, width, inputs),
    packingBytes(width, inputs, samples),
    packingBytes(samples, inputs, width),
  );
}

/**
 * Bytes the product [rows, depth] · [depth, columns] packs into: one left block, one right block, one spare tile.
 * Enough for either register tile, so that a memory plan does not depend on the engine.
 */
export function packingBytes(rows: number, columns: number, depth: number): number {
  const blockDepth = Math.min(depth, DEPTH_BLOCK);
  const blockRows = Math.max(...TILES.map((tileRows) => roundUp(Math.min(rows, ROW_BLOCK), tileRows)));
  const blockColumns = roundUp(Math.min(columns, COLUMN_BLOCK), TILE_COLUMNS);
  return 4 * (blockDepth * (blockRows + blockColumns) + Math.max(...TILES) * TILE_COLUMNS);
}

const TILES = [PLAIN_TILE_ROWS, FUSED_TILE_ROWS];

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
