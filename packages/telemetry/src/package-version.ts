import { readFileSync } from 'node:fs';

/** Version of the installed package: what `package.json` at its root says, seen from this file in `dist/`. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'));
  return String(version);
}
