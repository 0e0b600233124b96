/**
 * The one file where instants meet a time zone.
 *
 * Everything else handles aware ISO strings or epoch milliseconds; here they become what the user
 * reads, in UTC or in the browser's zone.
 */
export type Zone = 'utc' | 'local'
export type Instant = string | number | Date | null | undefined

const two = (n: number): string => String(n).padStart(2, '0')

interface Fields {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  second: number
  ms: number
}

function fields(instant: Instant, zone: Zone): Fields | null {
  if (instant === null || instant === undefined || instant === '') return null
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) return null
  const utc = zone === 'utc'
  return {
    year: utc ? date.getUTCFullYear() : date.getFullYear(),
    month: (utc ? date.getUTCMonth() : date.getMonth()) + 1,
    day: utc ? date.getUTCDate() : date.getDate(),
    hour: utc ? date.getUTCHours() : date.getHours(),
    minute: utc ? date.getUTCMinutes() : date.getMinutes(),
    second: utc ? date.getUTCSeconds() : date.getSeconds(),
    ms: utc ? date.getUTCMilliseconds() : date.getMilliseconds(),
  }
}

/** `AA.MM.JJ_HH:MM` in the given zone; an em dash without an instant. */
export function formatStamp(instant: Instant, zone: Zone): string {
  const f = fields(instant, zone)
  return f ? `${two(f.year % 100)}.${two(f.month)}.${two(f.day)}_${two(f.hour)}:${two(f.minute)}` : '—'
}

/** `AA.MM.JJ` in the given zone. */
export function formatDay(instant: Instant, zone: Zone): string {
  return formatStamp(instant, zone).split('_')[0]
}

/** `HH:MM` in the given zone. */
export function formatClock(instant: Instant, zone: Zone): string {
  return formatStamp(instant, zone).split('_')[1] ?? '—'
}

/** `HH:MM:SS.mmm` in the given zone. */
export function formatPrecise(instant: Instant, zone: Zone): string {
  const f = fields(instant, zone)
  return f ? `${two(f.hour)}:${two(f.minute)}:${two(f.second)}.${String(f.ms).padStart(3, '0')}` : '—'
}

/** Reads `AA.MM.JJ_HH:MM` written in the given zone. Returns an ISO string, or null if it is no date. */
export function parseStamp(text: string, zone: Zone): string | null {
  const match = /^(\d{2})\.(\d{2})\.(\d{2})(?:[_ ](\d{2}):(\d{2}))?$/.exec(text.trim())
  if (!match) return null
  const [year, month, day, hour, minute] = match.slice(1).map((part) => Number(part ?? 0))
  const date =
    zone === 'utc'
      ? new Date(Date.UTC(2000 + year, month - 1, day, hour, minute))
      : new Date(2000 + year, month - 1, day, hour, minute)
  const written = `${match[1]}.${match[2]}.${match[3]}_${match[4] ?? '00'}:${match[5] ?? '00'}`
  return formatStamp(date, zone) === written ? date.toISOString() : null
}

/** A duration as people say it: `850 ms`, `12,4 s`, `3 min 20`, `1 h 46`, `2 j 06 h`. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '—'
  if (ms < 0) return '0\u00A0s'
  if (ms < 1000) return `${Math.round(ms)}\u00A0ms`
  if (ms < 9950) return `${(ms / 1000).toFixed(1).replace('.', ',')}\u00A0s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}\u00A0s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}\u00A0min\u00A0${two(seconds % 60)}`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours}\u00A0h\u00A0${two(minutes % 60)}`
  return `${Math.floor(hours / 24)}\u00A0j\u00A0${two(hours % 24)}\u00A0h`
}

/** A countdown: `04:38`, `1:24:38`. */
export function formatCountdown(ms: number): string {
  const total = Math.max(0, Math.ceil(ms / 1000))
  const hours = Math.floor(total / 3600)
  const rest = `${two(Math.floor((total % 3600) / 60))}:${two(total % 60)}`
  return hours ? `${hours}:${rest}` : rest
}
