import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Tests run as built: what is tested is what ships, and worker threads and processes find their files. */
export default defineConfig({
  test: {
    pool: 'forks',
    server: { deps: { external: [/\/dist\/(?!.*\.test\.js$)/] } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        // They share nothing: on two cores, two at a time.
        test: {
          name: 'parts',
          include: ['dist/**/*.test.js'],
          exclude: ['dist/test/**'],
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Whole clusters of processes, held to seconds: a shared machine that stands still for ten of them (it has been
        // seen) may cost one attempt. A test that needed its second one is told as flaky.
        test: {
          name: 'clusters',
          include: ['dist/test/**/*.test.js'],
          retry: 1,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
