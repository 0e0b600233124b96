/** What each line of a timeframe's list says: a candle, or the hole between two of them. */
import type { Incident } from '@/api/core'
import { holeBetween, type Candle } from './rows'

export interface CandleLine {
  kind: 'candle'
  candle: Candle
  note: '' | 'gap' | 'fixed' | 'late'
  incident: Incident | null
}

export interface HoleLine {
  kind: 'hole'
  at: number
  count: number
}

export type SignalLine = CandleLine | HoleLine

function noteOf(candle: Candle, gap: Incident | null): CandleLine['note'] {
  if (gap) return 'gap'
  if (candle.revision > 1) return 'fixed'
  return candle.is_late ? 'late' : ''
}

/** Lines of one timeframe, newest first; holes stand where candles are missing. */
export function signalLines(candles: readonly Candle[], incidents: readonly Incident[], stepMs: number): SignalLine[] {
  const gaps = incidents.filter((incident) => incident.kind === 'gap' && incident.market_time)
  return candles.flatMap((candle, index): SignalLine[] => {
    const gap = gaps.find((incident) => {
      const at = Date.parse(incident.market_time ?? '')
      return at >= candle.at && at < candle.at + stepMs
    })
    const line: CandleLine = { kind: 'candle', candle, note: noteOf(candle, gap ?? null), incident: gap ?? null }
    const older = candles[index + 1]
    const hole = older ? holeBetween(candle, older, stepMs) : null
    return hole ? [line, { kind: 'hole', ...hole }] : [line]
  })
}

/** Move of a candle from its open to its close, as a ratio for display. */
export function moveRatio(open: string, close: string): number | null {
  const from = Number(open)
  return from > 0 ? Number(((Number(close) - from) / from).toFixed(6)) : null
}
