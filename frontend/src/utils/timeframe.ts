/** Timeframes as exchanges write them (`5m`, `1h`, `1d`), among them some that the heartbeat does not know. */
const UNITS_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000 }

/** Length in milliseconds (a month counts 30 days); 0 for what is no timeframe. */
export function timeframeMs(timeframe: string): number {
  const match = /^(\d+)([smhdwM])$/.exec(timeframe)
  return match ? Number(match[1]) * UNITS_MS[match[2]] : 0
}

/** As a French button says it: a day is `j`, a week is `sem`. */
export function timeframeLabel(timeframe: string): string {
  return timeframe.replace(/d$/, 'j').replace(/w$/, ' sem').replace(/M$/, ' mois')
}
