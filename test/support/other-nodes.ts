import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Major versions of Node.js that must give the same bits as the one that runs the tests. */
const MAJORS = [20, 24];

/**
 * Paths of the other Node.js versions to test on, from the npm package `node`.
 *
 * Only where `ROPETEAM_TEST_NODES` is set, as in CI: each is 200 MB to fetch.
 */
export async function otherNodes(): Promise<readonly string[]> {
  if (process.env.ROPETEAM_TEST_NODES === undefined) return [];
  const own = Number(process.versions.node.split('.')[0]);
  const others = MAJORS.filter((major) => major !== own);
  return Promise.all(
    others.map(async (major) => {
      const args = ['-y', '-p', `node@${major}`, 'node', '-p', 'process.execPath'];
      const { stdout } = await promisify(execFile)('npx', args, { timeout: 240_000 });
      return stdout.trim();
    }),
  );
}
