/** Where the first number is that is not finite, in gradients as they came from workers. */
import { setImmediate } from 'node:timers/promises';
import { INT8_GROUP, type Program, scalesOffset, type WireFormat } from '#kernel';
import type { GradientReceipt, NonFinite } from '#training';

/** Values looked at in one go: a few milliseconds. */
const PIECE = 1 << 20;

export interface ScannedRun {
  readonly wire: WireFormat;
  readonly program: Pick<Program, 'parameters' | 'parameterCount'>;
  /** The bytes a receipt speaks of, as they came. */
  readonly bytesOf: (receipt: GradientReceipt) => Uint8Array;
}

/** The first block, in order of its micro-batches, that has such a number in its loss or gradient. Before it is folded. */
export async function findNonFinite(
  receipts: readonly GradientReceipt[],
  { wire, program, bytesOf }: ScannedRun,
): Promise<Pick<NonFinite, 'block' | 'tensor'>> {
  for (const receipt of receipts) {
    const index = await firstNonFinite(bytesOf(receipt), wire, program.parameterCount);
    if (index !== undefined) return { block: receipt.block, tensor: tensorAt(program, index) };
    if (!Number.isFinite(receipt.lossSum)) return { block: receipt.block };
  }
  return {};
}

/** Index of the first parameter; with int8, of the first of its group. */
async function firstNonFinite(bytes: Uint8Array, wire: WireFormat, count: number): Promise<number | undefined> {
  const { buffer, byteOffset } = bytes;
  switch (wire) {
    case 'float32':
      return search(new Float32Array(buffer, byteOffset, count), (value) => !Number.isFinite(value));
    case 'bfloat16':
      return search(new Uint16Array(buffer, byteOffset, count), (bits) => (bits & 0x7f80) === 0x7f80);
    case 'int8': {
      const scales = new Float32Array(buffer, byteOffset + scalesOffset(count), Math.ceil(count / INT8_GROUP));
      const group = await search(scales, (scale) => !Number.isFinite(scale));
      return group === undefined ? undefined : group * INT8_GROUP;
    }
    default:
      return wire satisfies never;
  }
}

async function search(
  values: Float32Array | Uint16Array,
  isBad: (value: number) => boolean,
): Promise<number | undefined> {
  for (let begin = 0; begin < values.length; begin += PIECE) {
    const found = values.subarray(begin, begin + PIECE).findIndex(isBad);
    if (found >= 0) return begin + found;
    if (begin + PIECE < values.length) await setImmediate();
  }
  return undefined;
}

function tensorAt({ parameters }: ScannedRun['program'], index: number): string {
  return parameters.findLast(({ offset }) => offset <= index)?.name ?? `parameter ${index}`;
}
