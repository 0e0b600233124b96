/** A manual terminal that works, for specs: a broker, a market, an account, an order that rests. */
import type { Market, Order, Portfolio, Preview, Selection } from '@/api/trading'
import { trade } from './samples'
import type { Replies } from './terminal'

export const order = (id: number, over: Partial<Order> = {}): Order => ({
  ...trade(id), bot: null, strategy: null, source: 'manual', owner: 'manual', type: 'limit', price: '93620', stop_price: null, average_price: null,
  quantity: '0.015', filled_quantity: '0', fee: '0', fee_currency: '', status: 'open', link_id: '', ...over,
})

const TYPES = [
  ['market', 'Marché'], ['limit', 'Limite'], ['stop_limit', 'Stop Limite'], ['stop_loss', 'Stop Loss'], ['take_profit', 'Take Profit'], ['oco', 'SL + TP'],
] as const

export const NO_PAIR = 'Kraken bloquerait deux fois la même quantité.'

export const selection = (over: Partial<Selection['broker']> = {}): Selection => ({
  broker: { id: 1, name: 'Simulateur', exchange: 'simex', mode: 'simulation', ...over },
  abilities: {
    order_types: TYPES.map(([type, label]) => ({ type, label, supported: type !== 'oco', reason: type === 'oco' ? NO_PAIR : '' })),
    pair: 'none', amend: 'atomic', market_buy_in_quote: false,
  },
  candle_timeframes: ['1m', '5m', '1h'],
})

export const market = (over: Partial<Market> = {}): Market => ({
  symbol: 'BTC/USDT', base: 'BTC', quote: 'USDT', tick_size: '0.01', step_size: '0.00001', min_quantity: '0.00001', max_quantity: '9000',
  min_notional: '5', maker_fee_ratio: '0.001', taker_fee_ratio: '0.001', active: true, ...over,
})

export const portfolio = (): Portfolio => ({
  as_of: '2026-11-22T14:35:00Z', valuation_currency: 'USDT', total: '8311.45',
  assets: [
    { currency: 'USDT', free: '8211.45', locked: '0', total: '8211.45', price: '1', value: '8211.45' },
    { currency: 'BTC', free: '0.001', locked: '0', total: '0.001', price: '100000', value: '100' },
  ],
})

export const preview = (over: Partial<Preview> = {}): Preview => ({
  quantity: '0.02', quote_amount: '1877', price: '93850', stop_price: null, notional: '1877', fee: '1.877', fee_currency: 'USDT', needed: '1878.877',
  needed_currency: 'USDT', available: '8211.45', reference_price: '94218.4', summary: [{ label: 'Nécessaire', value: '1 878,877 USDT' }], warnings: [], ...over,
})

/** Answers to everything the page asks; the validation holds 30 s from `now`. */
export const replies = (over: Replies = {}): Replies => ({
  select: { data: selection() },
  market: { data: market() },
  symbols: { data: { results: [{ symbol: 'BTC/USDT', base: 'BTC', quote: 'USDT', active: true }], total: 1 } },
  portfolio: { data: portfolio() },
  orders: { data: { results: [order(9)] } },
  history: { data: { results: [order(9), order(4, { status: 'filled', filled_quantity: '0.015', average_price: '93620' })] } },
  positions: { data: { results: [] } },
  book: { data: { bids: [['94218.3', '1']], asks: [['94218.4', '2']], at: '2026-11-22T14:35:00Z' } },
  candles: { data: { candles: [[1_795_000_000_000, 1, 2, 0.5, 1.5, 3]], last_is_open: true } },
  preview: { data: preview() },
  validate: () => ({ data: { ...preview(), validation_id: 'v1', valid_until: new Date(Date.now() + 30_000).toISOString() } }),
  submit: { data: { trade: order(12, { status: 'pending' }), warnings: [] } },
  cancel: (asked) => ({ data: { trade: order(asked.trade as number) } }),
  amend: { data: { command: { id: 3 }, client_order_id: 'ab' } },
  cancel_all: { data: { trades: [order(9)] } },
  ...over,
})
