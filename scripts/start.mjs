// `npm start`: install what is missing, build what is old, then train the first example on two workers.
// Old Node versions must get as far as the message below: nothing newer than Node 12's syntax in this file.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Ropeteam needs Node 20.19 or newer; this is Node ${process.versions.node} (${process.execPath}).`);
  console.error(
    'Install a current one from https://nodejs.org or with your version manager, then run npm start again.',
  );
  process.exit(3);
}

Promise.all([import('./checkout.mjs'), import('node:url')])
  .then(([{ buildIfOld, installIfMissing, root }, { fileURLToPath }]) => {
    installIfMissing();
    buildIfOld();
    const passed = process.argv.slice(2);
    const workers = passed.some((word) => word === '--workers' || word.startsWith('--workers='))
      ? []
      : ['--workers', '2'];
    const main = new URL('dist/cli/src/main.js', root);
    // In this process, not in a child: a Ctrl-C then reaches the command once from the terminal, and the exit code is its own.
    process.argv.splice(1, Infinity, fileURLToPath(main), 'train', 'examples/digits/job.yaml', ...workers, ...passed);
    process.chdir(fileURLToPath(root));
    return import(main.href);
  })
  .catch((error) => {
    console.error(error.name === 'CheckoutError' ? error.message : error);
    process.exit(error.exitCode || 1);
  });
