/** An object that a job names, brought to this machine for a command that reads the data itself. */
import { objectStoreSettings } from '#job';
import { downloadObject } from '#objects';
import type { Context } from '../context.js';

export function fetchObject(url: string, directory: string, { environment, interrupts }: Context): Promise<string> {
  const settings = objectStoreSettings(environment.forServices, environment.insecure);
  return downloadObject(url, directory, { ...settings, signal: interrupts.orderly });
}
