/** Plausible rows of the server, for specs. */
import type { AssistantSettings } from '@/api/assistant'
import type { Metrics, Run, RunTrade } from '@/api/backtests'
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
  awaits_code: false,
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
  reason: 'Pas de croisement', details: {}, decided_at: null, trade: null, trace_id: '1m_1.bot1',
  ...over,
})

export const position = (over: Partial<Position> = {}): Position => ({
  id: 7, broker: 1, bot: 1, symbol: 'BTC/USDT', owner: 'bot', side: 'long', quantity: '0.06', entry_price: '94012.4',
  current_price: '94218.4', stop_loss: '93400', take_profit: '94780', realized_pnl: '0', unrealized_pnl: '12.36',
  status: 'open', closing_reason: '', protection: null, opened_at: '2026-11-22T11:00:00Z', closed_at: null,
  ...over,
})

export const trade = (id: number, over: Partial<Trade> = {}): Trade => ({
  id, client_order_id: `c${id}`, trace_id: `order.c${id}`, broker: 1, bot: 1, strategy: 1, webhook: null, position: null, source: 'strategy', owner: 'bot:1', intent: 'entry', symbol: 'BTC/USDT',
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

export const metrics = (over: Partial<Metrics> = {}): Metrics => ({
  initial_amount: '10000', final_balance: '14862.31', net_profit: '4862.31', net_return: 0.486231, fees: '1204.68', trade_count: 403, won: 170, lost: 233,
  win_rate: 0.4218, average_win: '98.1', average_loss: '-50.71', largest_win: '412.5', largest_loss: '-318.44', expectancy: '12.07', profit_factor: 1.41,
  max_drawdown: 0.1284, max_drawdown_amount: 1500, max_drawdown_duration_ms: 5_270_400_000, recovery_factor: 3.06, sharpe: 1.32, sortino: 1.98, calmar: 1.88,
  cagr: 0.2415, sqn: null, exposure: 0.375, buy_and_hold: 0.0091, open_position: null, refused_count: 0, refusals: [], skipped_at_holes: 0,
  ...over,
})

export const run = (over: Partial<Run> = {}): Run => ({
  id: 1, strategy: 1, strategy_name: 'Croisement EMA 10/20', strategy_version: 7, broker: 1, broker_name: 'Simulateur', exchange: 'simex',
  symbol: 'BTC/USDT', quote_currency: 'USDT', timeframe: '1h', start_date: '2025-01-01T00:00:00Z', end_date: '2026-11-01T00:00:00Z',
  initial_amount: '10000', fee_ratio: null, slippage_ratio: '0.0005', params: {}, status: 'done', phase_progress: 1, cancel_requested: false,
  error: '', error_details: {}, created_at: '2026-11-22T14:28:00Z', started_at: '2026-11-22T14:28:00Z', finished_at: '2026-11-22T14:28:02.100Z',
  final_amount: '14862.31', total_trades: 403, winning_trades: 170, losing_trades: 233, max_drawdown: 0.1284, sharpe_ratio: 1.32,
  metrics: metrics(),
  checks: {
    look_ahead: { verdict: 'ok', columns: [], bars_checked: 300, prefixes_checked: 16, reason: '' },
    window: { verdict: 'ok', size: 500, columns: [] },
    ambiguous_candles: { count: 0, decided: 0, worst: '14862.31', best: '14862.31' },
    coverage: { ratio: 1, present: 16056, expected: 16056, hole_count: 0, holes: [], verified: true },
  },
  hashes: { code: 'ab', candles: 'cd', params: 'ef', settings: '01', finer: '', result: '8f3c1a55' }, engine: { path: 'vectorised', fallback: '', bars: 16056, engine_s: 0.2, proof_s: 0.4, total_s: 0.7 },
  assumptions: [{ name: 'Frais taker', value: '0,1 %' }],
  ...over,
})

/** A run that has no result yet. */
export const liveRun = (over: Partial<Run> = {}): Run => run({ status: 'queued', phase_progress: 0, finished_at: null, metrics: null, checks: null, hashes: null, engine: null, assumptions: [], ...over })

export const runTrade = (number: number, over: Partial<RunTrade> = {}): RunTrade => ({
  number, entry_time: 1_735_689_600_000 + number * 86_400_000, exit_time: 1_735_689_600_000 + number * 86_400_000 + 3_600_000,
  quantity: '0.05', entry_price: '94000', exit_price: '94500', fees: '9.4', profit: '15.6', profit_ratio: '0.0033', balance: '10015.6', reason: 'signal', ambiguous: false,
  ...over,
})
