/** How long a piece of work still needs, from what was seen of it. */
export interface Seen {
  at: number
  /** Share done, 0 to 1. */
  share: number
}

const MIN_ELAPSED_MS = 1_000

/**
 * Milliseconds left at the pace between the first and the last sight; null while that says nothing.
 *
 * Only what this page saw counts: after a reload the pace is measured anew.
 */
export function remainingMs(first: Seen, last: Seen): number | null {
  const [elapsed, done] = [last.at - first.at, last.share - first.share]
  if (elapsed < MIN_ELAPSED_MS || done <= 0) return null
  return ((1 - last.share) * elapsed) / done
}
