/** Periods of whole days that end today, on the market's clock. Days are ISO dates (`2026-11-22`), UTC. */
export type Period = '7d' | '30d' | '90d' | '1y' | 'all'

const DAYS: Record<Exclude<Period, 'all'>, number> = { '7d': 7, '30d': 30, '90d': 90, '1y': 365 }
const DAY_MS = 86_400_000

/** The first day of a period whose last day is `today`; null when it has no beginning. */
export function periodStart(period: Period, today: string): string | null {
  if (period === 'all') return null
  return isoDay(Date.parse(`${today}T00:00:00Z`) - (DAYS[period] - 1) * DAY_MS)
}

export const isoDay = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** `AA.MM.JJ` of an ISO date. */
export const shortDay = (day: string): string => day.slice(2).replaceAll('-', '.')

/** Reads `AA.MM.JJ`; null when it is no day. */
export function parseDay(text: string): string | null {
  const match = /^(\d{2})\.(\d{2})\.(\d{2})$/.exec(text.trim())
  if (!match) return null
  const day = `20${match[1]}-${match[2]}-${match[3]}`
  const ms = Date.parse(`${day}T00:00:00Z`)
  return Number.isNaN(ms) || isoDay(ms) !== day ? null : day
}

export interface MonthDay {
  day: string
  inMonth: boolean
}

/** The whole weeks, Monday first, that show a month (`2026-11`). */
export function monthWeeks(month: string): MonthDay[] {
  const first = Date.parse(`${month}-01T00:00:00Z`)
  const weekday = (new Date(first).getUTCDay() + 6) % 7
  const days: MonthDay[] = []
  for (let at = first - weekday * DAY_MS; ; at += DAY_MS) {
    const day = isoDay(at)
    if (days.length % 7 === 0 && days.length > 0 && day.slice(0, 7) > month) return days
    days.push({ day, inMonth: day.startsWith(month) })
  }
}

/** The month before (-1) or after (1). */
export function shiftMonth(month: string, by: number): string {
  const [year, number] = month.split('-').map(Number)
  return new Date(Date.UTC(year, number - 1 + by, 1)).toISOString().slice(0, 7)
}
