/** The formats a data file may have, and what a file's name says about that. */

export const DATA_FORMATS = ['csv', 'tsv', 'npy', 'idx'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

const BY_EXTENSION: ReadonlyMap<string, DataFormat> = new Map([
  ['tsv', 'tsv'],
  ['tab', 'tsv'],
  ['npy', 'npy'],
  ['idx', 'idx'],
]);

/** The format a name stands for, a final `.gz` aside: MNIST's files are called `train-images-idx3-ubyte`. Else CSV. */
export function formatOfName(name: string): DataFormat {
  const plain = name.replace(/\.gz$/i, '');
  if (/[-.]idx\d(-[a-z]+)?$/i.test(plain)) return 'idx';
  return BY_EXTENSION.get(/\.([a-z]+)$/i.exec(plain)?.[1]?.toLowerCase() ?? '') ?? 'csv';
}

/** Whether a file of this format holds one array without names, so that labels need a file of their own. */
export function isBareArray(format: DataFormat): format is 'npy' | 'idx' {
  return format === 'npy' || format === 'idx';
}
