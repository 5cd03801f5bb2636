/** For tests: the OpenBLAS of this machine. `npm test` provides one; without it, what needs it is skipped, and says so. */
import { findKernel } from './kernel-choice.js';

export const BLAS_LIBRARY = process.env.ROPETEAM_BLAS_LIBRARY || undefined;

const finding = await findKernel('blas', BLAS_LIBRARY);

export const hasBlas = finding.kind === 'found';

if (finding.kind === 'absent') process.stderr.write(`\nNOT TESTED: kernel blas. ${finding.reason}; ${finding.fix}\n\n`);
