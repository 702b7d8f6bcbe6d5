import { renameSync } from 'node:fs';

/** Puts a finished folder into place at once. Where somebody else was first, theirs stays. */
export function moveUnlessThere(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  }
}
