import { defineConfig } from 'vitest/config';

/** Tests run as built: what is tested is what ships, and worker threads and processes find their files. */
export default defineConfig({
  test: {
    include: ['dist/**/*.test.js'],
    pool: 'forks',
    server: { deps: { external: [/\/dist\/(?!.*\.test\.js$)/] } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
