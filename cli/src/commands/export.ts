/** `ropeteam export MODEL --format NAME --out FILE`: the model for other programs. */
import { resolve } from 'node:path';
import { type ExportFormat, exportModel, loadModel } from '#model';
import type { Context } from '../context.js';
import { formatCount } from '../plain-numbers.js';

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly out: string;
}

/** Returns 0. @throws RopeteamError STORAGE.CORRUPT for the model, STORAGE.WRITE, MODEL.TOO_LARGE */
export async function exportFile(folder: string, { format, out }: ExportOptions, context: Context): Promise<number> {
  const { terminal, directory } = context;
  const { trained } = await loadModel(resolve(directory, folder));
  const files = await exportModel(trained, format, resolve(directory, out));
  for (const { path, bytes } of files) terminal.say(`${formatCount(bytes)} bytes written: ${path}`);
  return 0;
}
