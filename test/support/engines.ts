import { describe } from '@jest/globals';
import { missingFor } from '../../scripts/engines/programs.mjs';

/** Describes what needs servers of the machine. Where one is missing the tests are skipped, visibly. */
export function describeEngine(title: string, needs: readonly Engine[], body: () => void): void {
  const missing = needs.map((engine) => missingFor(engine)).filter(Boolean);
  if (missing.length > 0) console.warn(`${title}: skipped, as there is no ${missing.join(' and no ')}`);
  (missing.length > 0 ? describe.skip : describe)(title, body);
}

type Engine = Parameters<typeof missingFor>[0];
