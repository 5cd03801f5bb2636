/** The shell blocks of a document, run as they stand there. */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/test/support/shell-blocks.js -> the checkout. */
export const CHECKOUT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** The shell blocks of a document, or of one of its sections. */
export async function blocksOf(path: string, heading?: string): Promise<readonly string[]> {
  const text = await readFile(join(CHECKOUT, path), 'utf8');
  const section = heading === undefined ? text : (text.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '');
  return [...section.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block ?? '');
}

export interface BlockResult {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a block in a folder; `npx ropeteam` is the build that is tested. */
export function runBlock(block: string, folder: string): BlockResult {
  const script = `ropeteam() { "${process.execPath}" "${join(CHECKOUT, 'dist/cli/src/main.js')}" "$@"; }
set -e
${block.replaceAll('npx ropeteam', 'ropeteam')}`;
  const done = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 110_000 });
  return { status: done.status, output: done.stdout + done.stderr };
}

export const hashIn = (output: string): string => /sha256 ([0-9a-f]{64})/.exec(output)?.[1] ?? 'no hash';
