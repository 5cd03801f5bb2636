/** `train.localSteps` of a job file. */
import { z } from 'zod';

const replicaCounts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] as const;

export const defaultReplicas = 4;

/**
 * The outer rate is that of DiLoCo (arXiv 2311.08105, section 3), whose momentum is 0.9 over hundreds of rounds. Over tens of
 * them that overshoots: measured in docs/local-steps.md.
 */
export const localSteps = z
  .strictObject({
    steps: z
      .int()
      .min(1)
      .max(4096)
      .meta({
        description:
          'H: steps a replica makes by itself between two exchanges. Weights and differences travel once in so many steps.',
        examples: [50],
      }),
    replicas: z
      .literal(replicaCounts)
      .default(defaultReplicas)
      .meta({
        description:
          'Replicas that train apart, a power of two: the most workers that have work, never how many there are. Each takes ' +
          'an equal share of `batch` in a step. Part of the result.',
        examples: [4],
        expected: 'a power of two from 1 to 1024',
      }),
    outer: z
      .strictObject({
        learningRate: z.number().gt(0).max(1_000_000).default(0.7).meta({
          description:
            'Share of the mean difference that is taken over in a round. 1 without momentum averages the weights.',
        }),
        momentum: z.number().min(0).lt(1).default(0.5).meta({
          description: "Share of the previous round's movement that is kept, in Nesterov's form.",
        }),
      })
      .prefault({})
      .meta({
        description: 'How the mean of the replicas’ differences becomes the next weights.',
        examples: [{ learningRate: 0.7, momentum: 0.9 }],
      }),
  })
  .meta({
    description:
      'Fewer exchanges: replicas train by themselves for some steps, then their weights are averaged. Other mathematics than ' +
      'without, and a little accuracy lost; every exchange of each step when left out.',
    examples: [{ steps: 50, replicas: 4 }],
  });
