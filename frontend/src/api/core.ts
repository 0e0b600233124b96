/** Health of the services and the heartbeat (backend app `core`). */
import { answer, api, type Schemas } from './client'

export const TIMEFRAMES = ['1m', '3m', '5m', '10m', '15m', '1h', '2h', '4h'] as const satisfies Timeframe[]
export type Timeframe = Schemas['TimeframeEnum']

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
  'ccxt_service_standby',
  'postgresql',
  'redis',
] as const
export type ServiceName = (typeof SERVICES)[number]

export type ServiceHealth = Schemas['ServiceHealth']
export type Health = Omit<Schemas['Health'], 'services'> & { services: Partial<Record<ServiceName, ServiceHealth>> }
export type CandleRow = Omit<Schemas['CandleRow'], 'timeframe'> & { timeframe: Timeframe }
export type HeartbeatStatus = Schemas['HeartbeatStatus']
export type Incident = Schemas['Incident']
export type HeartbeatRun = Schemas['Run']

/** The page's body, its maps keyed by timeframe. */
export type HeartbeatPage = Omit<Schemas['Heartbeat'], 'candles' | 'forming' | 'secondary'> & {
  secondary?: HeartbeatStatus | null
  candles: Partial<Record<Timeframe, CandleRow[]>>
  forming: Partial<Record<Timeframe, CandleRow>>
}

/** One message of the raw stream; it travels on the socket only. */
export interface RawTrade {
  id: number | string
  trade_time: string | number
  event_time: string | number
  symbol: string
  price: string
  quantity: string
  is_buyer_maker: boolean
}

export type Restoration = Schemas['Restoration']
export type Confirmed = Schemas['Confirmed']

export const fetchRestoration = (): Promise<Restoration> => answer(api.GET('/api/restoration/'))
export const confirmRestoration = (): Promise<Confirmed> => answer(api.POST('/api/restoration/confirm/'))
export const fetchHealth = (): Promise<Health> => answer(api.GET('/api/health/'))
// The description knows timeframes as text; the server only ever sends the eight.
export const fetchHeartbeat = async (): Promise<HeartbeatPage> => (await answer(api.GET('/api/heartbeat/'))) as HeartbeatPage
