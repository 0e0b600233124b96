/** Health of the services and the heartbeat (backend app `core`). */
import { get } from './client'

export const TIMEFRAMES = ['1m', '3m', '5m', '10m', '15m', '1h', '2h', '4h'] as const
export type Timeframe = (typeof TIMEFRAMES)[number]

const MINUTE_MS = 60_000

/** Length of each timeframe, in milliseconds. */
export const TIMEFRAME_MS: Record<Timeframe, number> = {
  '1m': MINUTE_MS,
  '3m': 3 * MINUTE_MS,
  '5m': 5 * MINUTE_MS,
  '10m': 10 * MINUTE_MS,
  '15m': 15 * MINUTE_MS,
  '1h': 60 * MINUTE_MS,
  '2h': 120 * MINUTE_MS,
  '4h': 240 * MINUTE_MS,
}

export const SERVICES = [
  'web',
  'heartbeat',
  'heartbeat_secondary',
  'trading_engine',
  'ccxt_service',
  'postgresql',
  'redis',
] as const
export type ServiceName = (typeof SERVICES)[number]

export interface ServiceHealth {
  state: 'up' | 'down' | 'starting' | 'absent'
  since: string | null
  last_seen: string | null
  lag_ms: number | null
  details?: Record<string, unknown>
}

export interface Health {
  status: 'ok' | 'degraded' | 'down'
  services: Partial<Record<ServiceName, ServiceHealth>>
}

export interface CandleRow {
  id: number | null
  timeframe: Timeframe
  symbol: string
  open_time: string
  close_time: string
  open: string
  high: string
  low: string
  close: string
  volume: string
  trade_count: number
  revision: number
  is_late: boolean
  source: string
  received_at: string | null
}

export interface HeartbeatStatus {
  id: number
  source: string
  location: string
  feed: string
  is_connected: boolean
  is_coherent: boolean
  last_application_start: string | null
  last_application_stop: string | null
  last_error: string | null
  last_error_at: string | null
  last_message_at: string | null
  market_time: string | null
  symbols_monitored: string[]
  latency_ms_p50: number | null
  latency_ms_p99: number | null
  messages_per_minute: number | null
  candles_24h: { closed: number; expected: number } | null
}

export interface Incident {
  id: number
  kind: 'gap' | 'stall' | 'disconnect' | 'correction'
  symbol: string
  market_time: string | null
  missing_trades: number | null
  message: string
  detected_at: string
  mended_at: string | null
}

export interface HeartbeatRun {
  id: number
  source: string
  last_application_start: string
  last_application_stop: string | null
}

export interface HeartbeatPage {
  status: HeartbeatStatus | null
  candles: Partial<Record<Timeframe, CandleRow[]>>
  forming?: Partial<Record<Timeframe, CandleRow>>
  incidents: Incident[]
  runs: HeartbeatRun[]
}

export interface RawTrade {
  id: number | string
  trade_time: string | number
  event_time: string | number
  symbol: string
  price: string
  quantity: string
  is_buyer_maker: boolean
}

export const fetchHealth = (): Promise<Health> => get('/api/health/')
export const fetchHeartbeat = (): Promise<HeartbeatPage> => get('/api/heartbeat/')
