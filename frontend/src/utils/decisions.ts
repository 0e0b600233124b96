/** Lists of a bot's decisions. */
import type { Decision } from '@/api/bots'

/** The newest close first. */
export const byClose = (a: Decision, b: Decision): number => Date.parse(b.close_time) - Date.parse(a.close_time) || b.id - a.id

/** Rows with what came since they were fetched; nothing older than they are, nothing settled becomes « évaluation… » again. */
export function withNews(rows: Decision[], news: Decision[]): Decision[] {
  const known = new Map(rows.map((one) => [one.id, one]))
  const oldest = rows.at(-1)
  for (const one of news) {
    const isBefore = oldest !== undefined && byClose(oldest, one) < 0
    if (!isBefore && (one.status !== 'leased' || !known.has(one.id))) known.set(one.id, one)
  }
  return [...known.values()].sort(byClose)
}
