import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Commands whose tests hold something to seconds. */
const TIMED = ['chaos', 'live-page', 'live-page-views', 'train-interrupt', 'train-record'].map(
  (name) => `dist/test/e2e/${name}.test.js`,
);

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
        // Commands and what they print, with clusters behind them: what they hold to a clock is minutes.
        test: {
          name: 'commands',
          include: ['dist/test/e2e/**/*.test.js'],
          exclude: TIMED,
          retry: 1,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // Whole clusters of processes, held to seconds, one file at a time: a shared machine that stands still for ten of
        // them (it has been seen) may cost one attempt. A test that needed its second one is told as flaky.
        test: {
          name: 'clusters',
          include: ['dist/test/*.test.js', 'dist/test/!(e2e)/**/*.test.js', ...TIMED],
          retry: 1,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
