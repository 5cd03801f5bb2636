/** The weights of a model file as the format's specification says, without the product's own reader. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LENGTH_BYTES = 8;

interface Described {
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** The bytes of all tensors of `model.safetensors`, in the order in which `model.json` lists the parameters. */
export async function readTensorBytes(modelPath: string): Promise<Uint8Array> {
  const { parameters } = JSON.parse(await readFile(join(modelPath, 'model.json'), 'utf8')) as Described;
  const file = await readFile(join(modelPath, 'model.safetensors'));
  const headerBytes = Number(file.readBigUInt64LE(0));
  const data = file.subarray(LENGTH_BYTES + headerBytes);
  const header = JSON.parse(file.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + headerBytes)) as Record<
    string,
    { readonly dtype: string; readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] }
  >;
  return Buffer.concat(
    parameters.map(({ name, shape }) => {
      const tensor = header[name];
      if (tensor?.dtype !== 'F32' || tensor.shape.join() !== shape.join()) throw new Error(`no tensor ${name}`);
      return data.subarray(...tensor.data_offsets);
    }),
  );
}
