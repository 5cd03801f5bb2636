/** `ropeteam predict MODEL --input FILE`: the rows of a file with predictions behind them. */
import { open, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadModel, predictTable } from '#model';
import { type DataFormat, filePathOf, RopeteamError } from '#training';
import type { Context } from '../context.js';
import { formatCount } from '../plain-numbers.js';

export interface PredictOptions {
  readonly input: string;
  readonly output?: string;
  readonly format?: DataFormat;
}

/** Returns 0. @throws RopeteamError STORAGE.CORRUPT for the model, DATA.* for the rows, STORAGE.WRITE */
export async function predict(folder: string, options: PredictOptions, context: Context): Promise<number> {
  const { terminal, directory, interrupts } = context;
  const model = await loadModel(resolve(directory, folder));
  const format = options.format === undefined ? {} : { format: options.format };
  const file = { name: options.input, path: resolve(directory, filePathOf(options.input)), ...format };
  const signal = interrupts.orderly;
  if (options.output === undefined) {
    await predictTable(model, file, { write: (text) => terminal.stream(text), signal });
    return 0;
  }
  const path = resolve(directory, options.output);
  const rows = await writeWhole(path, (write) => predictTable(model, file, { write, signal }));
  terminal.say(`${formatCount(rows)} rows predicted: ${options.output}`);
  return 0;
}

/** The file is there when everything is in it; before that it lies beside itself, so input and output may be one file. */
async function writeWhole<Result>(
  path: string,
  fill: (write: (text: string) => Promise<void>) => Promise<Result>,
): Promise<Result> {
  const temporary = `${path}.tmp`;
  const writing = async <Value>(done: Promise<Value>): Promise<Value> =>
    await done.catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RopeteamError('STORAGE.WRITE', { file: path }, `cannot write ${path}: ${reason}`, {
        cause,
        hint: 'check that the folder exists, may be written and has space',
      });
    });
  const file = await writing(open(temporary, 'w'));
  try {
    const result = await fill((text) => writing(file.writeFile(text)));
    await writing(file.close());
    await writing(rename(temporary, path));
    return result;
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
}
