/** Statistics of what was traded (backend app `stats`). */
import { answer, api, type Schemas } from './client'

export type StatsSummary = Schemas['StatsSummary']
export type StatsDay = Schemas['StatsDay']
export type StatsEquity = Schemas['StatsEquity']
export type StatsStrategy = Schemas['StatsStrategy']
export type StatsWebhook = Schemas['StatsWebhook']
export type StatsSymbol = Schemas['StatsSymbol']
export type StatsTrade = Schemas['StatsTrade']
export type StatsTradeDetail = Schemas['StatsTradeDetail']
export type Mode = NonNullable<StatsSummary['mode']>

/** What every panel is asked with; an absent member does not narrow. */
export interface StatsQuery {
  broker?: number
  mode?: Mode
  since?: string
  until?: string
  source?: string
  quote?: string
}

export interface TradePage {
  rows: StatsTrade[]
  cursor: string | null
}

export const fetchSummary = (query: StatsQuery): Promise<StatsSummary> => answer(api.GET('/api/stats/summary/', { params: { query } }))
export const fetchEquity = (query: StatsQuery): Promise<StatsEquity> => answer(api.GET('/api/stats/equity/', { params: { query } }))
export const fetchDaily = (query: StatsQuery): Promise<StatsDay[]> => answer(api.GET('/api/stats/daily/', { params: { query } }))
export const fetchByStrategy = (query: StatsQuery): Promise<StatsStrategy[]> => answer(api.GET('/api/stats/by-strategy/', { params: { query } }))
export const fetchByWebhook = (query: StatsQuery): Promise<StatsWebhook[]> => answer(api.GET('/api/stats/by-webhook/', { params: { query } }))
export const fetchBySymbol = (query: StatsQuery): Promise<StatsSymbol[]> => answer(api.GET('/api/stats/by-symbol/', { params: { query } }))

export const fetchTrade = (id: number): Promise<StatsTradeDetail> => answer(api.GET('/api/stats/trades/{id}/', { params: { path: { id } } }))

/** One page of trades, newest first; `cursor` asks for the next, null when there is none. */
export async function fetchTrades(query: StatsQuery, cursor: string | null, limit = 100): Promise<TradePage> {
  const page = await answer(api.GET('/api/stats/trades/', { params: { query: { ...query, limit, cursor: cursor ?? undefined } } }))
  const next = page.next ? new URL(page.next, location.origin).searchParams.get('cursor') : null
  return { rows: page.results, cursor: next }
}

/** Where the browser downloads the trades as a spreadsheet. */
export function exportAddress(query: StatsQuery): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined)
  return `/api/stats/trades/export/?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}
