// The ONNX runtime that exported models are held against: 290 MB, so it is not among the project's own dependencies but
// installed into the user's cache by the first run of the tests.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const VERSION = '1.30.0';
const DEADLINE_MS = 300_000;

/** Environment for whoever runs the tests; empty when there is none to be had (and then it says so). */
export function onnxruntimeEnvironment(environment = process.env) {
  if (environment.ROPETEAM_TEST_ONNXRUNTIME) return {};
  const root = join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam');
  const cache = join(root, `onnxruntime-${VERSION}`);
  try {
    if (!existsSync(cache)) {
      if (environment.ROPETEAM_NO_FETCH) throw new Error('ROPETEAM_NO_FETCH forbids to fetch one');
      fetchInto(cache);
    }
    return { ROPETEAM_TEST_ONNXRUNTIME: join(cache, 'node_modules/onnxruntime-node/dist/index.js') };
  } catch (error) {
    console.error(`\n! onnxruntime-node is not there and could not be fetched: ${error.message}`);
    console.error('  Until then exports to ONNX are not tested.');
    return {};
  }
}

/** Without install scripts: what they would fetch besides is for GPUs. */
function fetchInto(cache) {
  mkdirSync(dirname(cache), { recursive: true });
  const work = mkdtempSync(join(dirname(cache), '.fetching-onnxruntime-'));
  try {
    writeFileSync(join(work, 'package.json'), '{ "private": true }\n');
    const words = ['install', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error', '--prefix', work];
    const done = spawnSync('npm', [...words, `onnxruntime-node@${VERSION}`], {
      encoding: 'utf8',
      timeout: DEADLINE_MS,
    });
    if (done.status !== 0) throw new Error(`npm install ended with ${done.status ?? done.signal}: ${done.stderr}`);
    renameSync(work, cache);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
