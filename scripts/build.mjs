// Builds dist/: the kernel's WebAssembly modules (AssemblyScript) and all TypeScript. With --if-old only where a source changed.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { filesUnder, isCurrentBuild, markBuilt, sourceFingerprint } from './fingerprint.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const rootUrl = pathToFileURL(`${root}/`);
const require = createRequire(import.meta.url);

/** Runs a compiler; its messages are enough, so a failure ends here without a stack trace. */
function run(script, args) {
  const done = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

if (process.argv.includes('--if-old') && isCurrentBuild(rootUrl)) process.exit(0);

// Taken before compiling: a source saved meanwhile makes the next build run again.
const fingerprint = sourceFingerprint(rootUrl);
rmSync(join(root, 'dist/.fingerprint'), { force: true });

const assembly = join(root, 'packages/kernel/assembly/index.ts');
if (existsSync(assembly)) {
  mkdirSync(join(root, 'dist/packages/kernel'), { recursive: true });
  // The same sources twice: plain SIMD, and relaxed SIMD for the fused multiply-add.
  for (const target of ['plain', 'fma']) {
    run(join(dirname(require.resolve('assemblyscript/package.json')), 'bin/asc.js'), [
      'packages/kernel/assembly/index.ts',
      '--config',
      'packages/kernel/asconfig.json',
      '--target',
      target,
    ]);
  }
}
const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
run(compiler, ['-p', 'tsconfig.json']);
// What runs in a browser knows other globals; it is compiled apart, and its other files go beside it.
const page = 'services/coordinator/page';
run(compiler, ['-p', `${page}/tsconfig.json`]);
for (const name of readdirSync(join(root, page)).filter((file) => /\.(html|css|svg)$/.test(file)))
  copyFileSync(join(root, page, name), join(root, 'dist', page, name));
removeOrphans();
markBuilt(rootUrl, fingerprint);

/** Outputs whose source is gone would still be imported and, worse, still be run as tests. */
function removeOrphans() {
  for (const output of filesUnder(root, 'dist')) {
    const source = /^dist[/\\](.*)\.(?:js|js\.map|d\.ts)$/.exec(output)?.[1];
    if (source !== undefined && !existsSync(join(root, `${source}.ts`)) && isCompiled(source))
      rmSync(join(root, output));
  }
}

/** AssemblyScript writes its own files beside; only what tsc made is judged. */
function isCompiled(source) {
  return /^(packages[/\\][^/\\]+[/\\]src|services[/\\][^/\\]+[/\\](?:src|page)|cli[/\\]src|test|bench|deploy|docs[/\\]reference)[/\\]/.test(
    source,
  );
}
