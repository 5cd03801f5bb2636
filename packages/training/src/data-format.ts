/** The formats a data file may have, and what a file's name says about that. */

export const DATA_FORMATS = ['csv', 'tsv', 'jsonl', 'parquet', 'npy', 'npz', 'idx'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

const BY_EXTENSION: ReadonlyMap<string, DataFormat> = new Map([
  ['tsv', 'tsv'],
  ['tab', 'tsv'],
  ['jsonl', 'jsonl'],
  ['ndjson', 'jsonl'],
  ['parquet', 'parquet'],
  ['npy', 'npy'],
  ['npz', 'npz'],
  ['idx', 'idx'],
]);

/** The format a name stands for, a final `.gz` aside: MNIST's files are called `train-images-idx3-ubyte`. Else CSV. */
export function formatOfName(name: string): DataFormat {
  const plain = filePathOf(name).replace(/\.gz$/i, '');
  if (/[-.]idx\d(-[a-z]+)?$/i.test(plain)) return 'idx';
  return BY_EXTENSION.get(/\.([a-z]+)$/i.exec(plain)?.[1]?.toLowerCase() ?? '') ?? 'csv';
}

/** Formats whose files, or members of files, hold one array without names. */
export type ArrayFormat = 'npy' | 'npz' | 'idx';

/** Whether a file of this format holds one array without names, so that labels need a file of their own. */
export function isBareArray(format: DataFormat): format is ArrayFormat {
  return format === 'npy' || format === 'npz' || format === 'idx';
}

const OF_ARCHIVE = /^(.*\.npz)#(.+)$/i;

/** The file in which what a job names is: `mnist.npz` of `mnist.npz#x_train`, else the name itself. */
export function filePathOf(name: string): string {
  return OF_ARCHIVE.exec(name)?.[1] ?? name;
}

/** The member of an archive that a name means: `x_train` of `mnist.npz#x_train`; undefined where it names a file. */
export function memberOf(name: string): string | undefined {
  return OF_ARCHIVE.exec(name)?.[2];
}
