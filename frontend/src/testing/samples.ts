/** Plausible rows of the server, for specs. */
import type { AssistantSettings } from '@/api/assistant'
import type { Bot, Decision } from '@/api/bots'
import type { Broker, Exchange } from '@/api/brokers'
import type { CandleRow, HeartbeatStatus } from '@/api/core'
import type { Position, Trade } from '@/api/orders'
import type { Session } from '@/api/session'

export const session = (over: Partial<Session> = {}): Session => ({
  user: { id: 1, username: 'dac', theme: 'dark', display_timezone: 'UTC', default_broker_id: 1 },
  debug: { allowed: false, active: false },
  mode: 'simulation',
  prices: 'simulated',
  limits: { max_users: 5, users: 2, max_active_strategies: 20, active_strategies: 1 },
  assistant: { is_on: false, provider: '', model: '' },
  ...over,
})

export const candle = (minute: number, over: Partial<CandleRow> = {}): CandleRow => ({
  id: minute, timeframe: '1m', symbol: 'BTCUSDT',
  open_time: new Date(minute * 60_000).toISOString(), close_time: new Date((minute + 1) * 60_000).toISOString(),
  open: '100', high: '102', low: '99', close: '101', volume: '3', trade_count: 4, revision: 1, is_late: false,
  source: 'primary', received_at: '2026-11-22T12:00:00Z',
  ...over,
})

export const heartbeatStatus = (over: Partial<HeartbeatStatus> = {}): HeartbeatStatus => ({
  id: 1, source: 'primary', location: 'local', feed: 'simex:1', is_connected: true, is_coherent: true,
  last_application_start: '2026-11-22T11:00:00Z', last_application_stop: null, last_error: '', last_error_at: null,
  last_message_at: '2026-11-22T12:00:00Z', market_time: '2026-11-22T12:00:00Z', symbols_monitored: ['BTCUSDT'],
  latency_ms_p50: 38, latency_ms_p99: 142, messages_per_minute: 100, candles_24h: { closed: 3, expected: 3 },
  ...over,
})

export const decision = (over: Partial<Decision> = {}): Decision => ({
  id: 1, signal_id: '1m_1', close_time: '2026-11-22T12:00:00Z', status: 'decided', action: 'none',
  reason: 'Pas de croisement', details: {}, decided_at: null, trade: null,
  ...over,
})

export const position = (over: Partial<Position> = {}): Position => ({
  id: 7, broker: 1, bot: 1, symbol: 'BTC/USDT', owner: 'bot', side: 'long', quantity: '0.06', entry_price: '94012.4',
  current_price: '94218.4', stop_loss: '93400', take_profit: '94780', realized_pnl: '0', unrealized_pnl: '12.36',
  status: 'open', closing_reason: '', protection: null, opened_at: '2026-11-22T11:00:00Z', closed_at: null,
  ...over,
})

export const trade = (id: number, over: Partial<Trade> = {}): Trade => ({
  id, client_order_id: `c${id}`, broker: 1, bot: 1, strategy: 1, webhook: null, position: null, source: 'strategy', intent: 'entry', symbol: 'BTC/USDT',
  side: 'buy', type: 'market', quantity: '0.06', price: null, average_price: '94012.4', filled_quantity: '0.06',
  fee: '1', fee_currency: 'USDT', status: 'filled', error_message: '', profit_loss: null,
  stop_price: null, quote_amount: null, link_id: '', link_mode: '', replaces: null,
  created_at: '2026-11-22T12:00:00Z', market_time: null,
  ...over,
})

export const bot = (over: Partial<Bot> = {}): Bot => ({
  id: 1, strategy: 1, strategy_name: 'Croisement EMA 10/20', broker: 1, broker_name: 'Simulateur', mode: 'simulation',
  symbol: 'BTC/USDT', timeframe: '15m', start_date: '2026-11-20T00:00:00Z', end_date: '2027-02-22T00:00:00Z',
  is_active: true, amount: null, params: {}, state: 'running', pause_reason: '', pause_details: {}, paused_at: null,
  created_at: '2026-11-20T00:00:00Z', last_decision: decision(), position: null, realized_pnl: '642.18',
  unrealized_pnl: null, trades: [], quote_currency: 'USDT', amount_warning: '',
  ...over,
})

export const broker = (over: Partial<Broker> = {}): Broker => ({
  id: 1, name: 'Simulateur', exchange: 'simex', exchange_name: 'Simulateur', is_default: true, is_testnet: false, is_active: true,
  mode: 'simulation', api_key_hint: 'J7xQ', active_bots: 0, trade_count: 3,
  markets: { state: 'loaded', progress: 100, count: 24, error: '', loaded_at: '2026-11-22T12:00:00Z' },
  ...over,
})

export const exchange = (over: Partial<Exchange> = {}): Exchange => ({
  id: 'okx', name: 'OKX', required_credentials: ['apiKey', 'secret', 'password'], has: {}, timeframes: ['1m'], sandbox: true,
  load_state: 'not_loaded', load_progress: 0, market_count: 0,
  ...over,
})

export const assistant = (over: Partial<AssistantSettings> = {}): AssistantSettings => ({
  provider: '', is_on: false,
  openrouter: { has_key: false, key_hint: '', model: '' },
  ollama: { url: 'http://localhost:11434', model: '' },
  ...over,
})
