// `npm test`: install what is missing, then form, lint, types, dead code, and every test on a real Redis.
// Words after it go to vitest: `npm test -- dist/packages/kernel` runs one part's tests.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CheckoutError, installIfMissing, root } from './checkout.mjs';
import { onnxruntimeEnvironment } from './onnxruntime-for-tests.mjs';
import { openblasEnvironment } from './openblas-for-tests.mjs';

const folder = fileURLToPath(root);

async function main(words) {
  installIfMissing();
  const bin = (name, path) => join(folder, 'node_modules', name, path);
  step('form and lint', [bin('@biomejs/biome', 'bin/biome'), 'check', '--error-on-warnings', '.']);
  step('types and build', ['scripts/build.mjs']);
  step('dead code', [bin('knip', 'bin/knip.js'), '--no-progress']);
  await provideRedis();
  const environment = { ...(await provideOpenblas()), ...onnxruntimeEnvironment() };
  step('tests', [bin('vitest', 'vitest.mjs'), 'run', ...words], environment);
}

/** Runs one of the checks with our terminal; the first that fails ends everything. */
function step(name, args, environment = {}) {
  console.error(`\n── ${name}`);
  const startedAt = Date.now();
  const done = spawnSync(process.execPath, args, {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  if (done.signal !== null) throw new CheckoutError(`✗ ${name} was ended by ${done.signal}`, 130);
  if (done.status !== 0) throw new CheckoutError(`✗ ${name}`, 1);
  if (name !== 'tests') console.error(`✓ ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
}

/** Fetches the private Redis once, here, so that no test has to and none runs on the slow stand-in unasked. */
async function provideRedis() {
  const { resolveRedis } = await import(new URL('dist/packages/queues/src/index.js', root).href);
  const dataDirectory = mkdtempSync(join(tmpdir(), 'ropeteam-test-'));
  try {
    const redis = await resolveRedis({
      allowFetch: !process.env.ROPETEAM_NO_FETCH,
      cacheDirectory: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam'),
      dataDirectory,
      onNotice: (line) => console.error(line),
    });
    console.error(`\n── Redis for the tests: ${redis.engine} ${redis.version}`);
    await redis[Symbol.asyncDispose]();
  } finally {
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

/** Environment with which the tests find an OpenBLAS; the kernel that needs one is skipped loudly without. */
async function provideOpenblas() {
  const { findKernel } = await import(new URL('dist/packages/engine/src/index.js', root).href);
  const isInstalled = (await findKernel('blas')).kind === 'found';
  const environment = openblasEnvironment(isInstalled);
  console.error(
    `── OpenBLAS for the tests: ${isInstalled ? 'the system’s' : (environment.ROPETEAM_BLAS_LIBRARY ?? 'none')}`,
  );
  return environment;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error instanceof CheckoutError ? error.message : error);
  process.exitCode = error instanceof CheckoutError ? error.exitCode : 1;
});
