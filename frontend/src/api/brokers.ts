/** Brokers and their symbols (backend apps `brokers` and `market_data`). */
import { get, getAll, post, type Page } from './client'
import type { TradingMode } from './session'

export interface MarketsState {
  state: 'absent' | 'loading' | 'loaded' | 'error' | string
  progress: number | null
  count: number | null
}

export interface Broker {
  id: number
  name: string
  exchange: string
  exchange_name: string
  is_default: boolean
  is_testnet: boolean
  is_active: boolean
  mode: TradingMode
  api_key_hint: string
  markets: MarketsState
}

export interface MarketSymbol {
  symbol: string
  base: string
  quote: string
  tick_size: string | null
  step_size: string | null
  min_quantity: string | null
  min_notional: string | null
  active: boolean
}

export interface Balance {
  currencies: { currency: string; free: string; locked: string; total: string }[]
}

export const fetchBrokers = (): Promise<Broker[]> => getAll('/api/brokers/')
export const fetchBalance = (broker: number): Promise<Balance> => get(`/api/brokers/${broker}/balance/`)
export const loadMarkets = (broker: number): Promise<unknown> => post(`/api/brokers/${broker}/load-markets/`)
export const searchSymbols = (broker: number, search: string): Promise<Page<MarketSymbol>> =>
  get('/api/symbols/', { broker, search })
