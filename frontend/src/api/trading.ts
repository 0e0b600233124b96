/** What is said on `/ws/trading/`: each request's parameters and answer, and the events of a selection. */
import type { Position, Trade } from './orders'
import type { TradingMode } from './session'

export type Side = 'buy' | 'sell'
export type OrderType = 'market' | 'limit' | 'stop_loss' | 'take_profit' | 'stop_limit' | 'oco'

/** A trade as the terminal receives it: what orders with a trigger add is absent from older rows. */
export type Order = Trade & {
  stop_price?: string | null
  link_id?: string
  link_mode?: string
  replaces?: number | null
  quote_amount?: string | null
}

export interface TypeAbility {
  type: OrderType
  label: string
  supported: boolean
  reason: string | null
}

export interface Abilities {
  order_types: TypeAbility[]
  pair: string
  amend: string
  market_buy_in_quote: boolean
}

export interface Selection {
  broker: { id: number; name: string; exchange: string; exchange_name?: string; mode: TradingMode; market_count?: number }
  abilities: Abilities
  candle_timeframes: string[]
}

export interface SymbolRow {
  symbol: string
  base: string
  quote: string
  active: boolean
}

export type QuoteFilter = 'USDT' | 'USDC' | ''

export interface SymbolPage {
  results: SymbolRow[]
  total: number
}

export interface Market {
  symbol: string
  base: string
  quote: string
  tick_size: string | null
  step_size: string | null
  min_quantity: string | null
  max_quantity: string | null
  min_notional: string | null
  maker_fee_ratio: string | null
  taker_fee_ratio: string | null
  active: boolean
}

export interface Asset {
  currency: string
  free: string
  locked: string
  total: string
  price: string | null
  value: string | null
}

export interface Portfolio {
  as_of: string
  valuation_currency: string
  total: string | null
  assets: Asset[]
}

/** What the ticket says of an order, before and at its validation; the server computes the rest. */
export interface Terms {
  broker: number
  symbol: string
  side: Side
  order_type: OrderType
  quantity?: string
  quote_amount?: string
  /** A share of what is available, from 0 to 1, which the server turns into a quantity. */
  balance_ratio?: string
  price?: string
  stop_price?: string
  stop_loss?: string
  take_profit?: string
}

export interface Preview {
  quantity: string | null
  quote_amount: string | null
  price: string | null
  stop_price: string | null
  notional: string | null
  fee: string | null
  fee_currency: string | null
  needed: string | null
  needed_currency: string | null
  available: string | null
  reference_price: string | null
  /** How far the order's price is from the market's, as a ratio. */
  distance_ratio?: string | null
  summary: { label: string; value: string }[]
  warnings: string[]
}

export type Validation = Preview & { validation_id: string; valid_until: string }

/** What a wish's answer may say besides: it is recorded, but waits for terminal 5. */
interface Warned {
  warnings?: string[]
}

export interface Submitted extends Warned {
  trade?: Order
  trades?: Order[]
}

export type Level = [price: string, quantity: string]

export interface Book {
  broker: number
  symbol: string
  bids: Level[]
  asks: Level[]
  at: string
}

/** Opening instant in milliseconds, then open, high, low, close, volume: floats, for drawing only. */
export type Bar = [at: number, open: number, high: number, low: number, close: number, volume: number]

export interface Bars {
  candles: Bar[]
  last_is_open: boolean
}

export interface Ticker {
  broker: number
  symbol: string
  last: string | null
  change_24h_ratio: string | null
  high: string | null
  low: string | null
  volume: string | null
  /** Market time in milliseconds, where the exchange says it. */
  at?: number | null
}

/** The last trades, the newest first: instant in milliseconds, price, quantity, side of who took the offer. */
export interface Tape {
  broker: number
  symbol: string
  trades: [at: number, price: string, quantity: string, side: Side][]
}

/** A position as the terminal values it at the last price. */
export type LivePosition = Position & { market_value?: string | null; unrealized_pnl_ratio?: string | null }

export interface Feed {
  broker: number
  symbol: string
  state: 'live' | 'polling' | 'stalled' | 'down'
  message: string
}

/** How a cancellation or a change ended. */
export interface Command {
  id: number
  trade: number
  kind: 'cancel' | 'amend'
  status: string
  error_message: string
}

export interface Alert {
  code: string
  message: string
  trade: number | null
  broker: number | null
  symbol: string
}

export interface Amendment {
  broker: number
  trade: number
  quantity?: string
  price?: string
  stop_price?: string
}

type ForBroker = { broker: number }

/** Parameters and answer of each request, by its type. */
export interface Requests {
  select: { params: ForBroker & { symbol?: string; timeframe?: string }; answer: Selection }
  symbols: { params: ForBroker & { quote: QuoteFilter; search: string; limit: number; offset: number }; answer: SymbolPage }
  market: { params: ForBroker & { symbol: string }; answer: Market }
  portfolio: { params: ForBroker; answer: Portfolio }
  preview: { params: Terms; answer: Preview }
  validate: { params: Terms; answer: Validation }
  submit: { params: ForBroker & { validation_id: string }; answer: Submitted }
  cancel: { params: ForBroker & { trade: number }; answer: { trade: Order } & Warned }
  cancel_all: { params: ForBroker & { symbol?: string; everybody: boolean }; answer: { trades: Order[] } & Warned }
  amend: { params: Amendment; answer: { command: { id: number }; client_order_id: string } & Warned }
  close: { params: ForBroker & { position: number }; answer: { step: string; position: LivePosition; trade: Order | null } & Warned }
  orders: { params: ForBroker & { symbol?: string }; answer: { results: Order[] } }
  history: { params: ForBroker & { symbol?: string; before?: number; limit: number }; answer: { results: Order[] } }
  positions: { params: ForBroker; answer: { results: LivePosition[] } }
  book: { params: ForBroker & { symbol: string; depth: number }; answer: Omit<Book, 'broker' | 'symbol'> }
  candles: { params: ForBroker & { symbol: string; timeframe: string; since?: string; until?: string; limit: number }; answer: Bars }
}
export type RequestType = keyof Requests

/** Data of each event, by `topic/type`. */
export interface TradingEvents {
  'orders/trade': Order
  'orders/position': LivePosition
  'orders/balance': { broker: number; free: Record<string, string>; locked: Record<string, string> }
  'orders/alert': Alert
  'orders/command': Command
  'market/book': Book
  'market/candle': { broker: number; symbol: string; timeframe: string; candle: Bar; closed: boolean }
  'market/ticker': Ticker
  'market/tape': Tape
  'market/feed': Feed
}
export type TradingEvent = keyof TradingEvents
